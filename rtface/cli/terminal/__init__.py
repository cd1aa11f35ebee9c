"""What commands show and take at a terminal."""
