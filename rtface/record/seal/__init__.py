"""What a blinded session must not tell, sealed in its log until somebody opens it and is written down for that."""
