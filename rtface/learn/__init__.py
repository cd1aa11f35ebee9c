"""From labels to networks: `labels` needs no torch; `tracker`, `encoder` and `engines` need it where they train or export."""
