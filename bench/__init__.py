"""Measurements and what they need; each is run from the checkout: `python -m bench.FOLDER.MODULE`. README.md lists them."""
