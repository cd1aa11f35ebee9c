"""``rtface engines``: one module a verb."""
