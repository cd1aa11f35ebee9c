"""The guided way from recordings to an engine of their rig: what `rtface learn start` does, without its terminal."""
