"""The screen: a rig seen and operated in a browser. A client of the service like any other."""
