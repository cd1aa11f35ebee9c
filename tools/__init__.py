"""What makes the site and the release. Not part of the package that is installed."""
