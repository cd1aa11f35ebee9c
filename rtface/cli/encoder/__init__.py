"""``rtface encoder``: one module a group of verbs."""
