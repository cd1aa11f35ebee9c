"""Formats of label sets, a module each; `rtface.learn.labels.reading` chooses among them. Needs no torch."""
