"""The screen: pages in a browser, served by a process of its own that is a client like any other."""
