"""What goes out: the wire format, the publisher and the control socket."""
