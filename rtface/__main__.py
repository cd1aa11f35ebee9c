"""``python -m rtface`` is the same as the command ``rtface``."""

from rtface.cli import main

main()
