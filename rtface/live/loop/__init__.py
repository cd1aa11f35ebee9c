"""The closed loop: from a pose to rules, decisions, the output, and the record of all of it."""
