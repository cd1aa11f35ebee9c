"""Tables in HDF5 that pandas 1.5 to 3 read."""

from __future__ import annotations

from typing import Any

_VERSION_NAME, _VERSION = "pandas_version", "0.15.2"
"""What pandas before 3 asks of a table and pandas 3 writes no more: without it they end in an AttributeError."""


def put_for_all_pandas(store: Any, key: str, table: Any, layout: str = "fixed") -> None:
    """Put a table into an open `pandas.HDFStore` so that older versions of pandas read it too.

    Parameters
    ----------
    store : pandas.HDFStore
    key : str
    table : pandas.DataFrame
    layout : str
        ``fixed`` or ``table``.
    """
    store.put(key, table, format=layout, track_times=False)
    attributes = store.get_node(key)._v_attrs  # noqa: SLF001  PyTables' documented name
    if _VERSION_NAME not in attributes:
        setattr(attributes, _VERSION_NAME, _VERSION)
