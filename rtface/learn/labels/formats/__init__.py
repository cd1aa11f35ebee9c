"""Readers of label sets, one module a format; `rtface.learn.labels.reading` chooses among them."""
