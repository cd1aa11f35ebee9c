"""Several cameras of one rig: each tracked in a process of its own, their poses in one loop."""
