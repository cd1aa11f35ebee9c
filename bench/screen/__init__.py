"""What the pages cost, and whether they can stay open all day."""
