"""The page for a new rig: the first hour as steps, each of which writes a file or runs a command of rtface."""
