"""Readers of label sets, one module a format; `rtface.learn.reading` chooses among them."""
