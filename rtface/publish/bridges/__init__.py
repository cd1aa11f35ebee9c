"""Bridges: what a service publishes, in other forms, each by a process of its own that subscribes like any client."""
