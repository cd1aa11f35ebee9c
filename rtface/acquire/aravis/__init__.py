"""A GigE Vision or USB3 Vision camera by Aravis, the system's own library: no vendor's producer."""
