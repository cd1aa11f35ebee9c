"""The sessions of a workspace on a page: list, certificate, timeline, pictures, comparison, and the jobs over them."""
