"""What rtface says of itself: the form of its JSON, and the files and folders that it uses."""
