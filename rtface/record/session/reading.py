"""A log gone through once: its events and rows, and what is known of it after its last record."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rtface.core.errors import DataError
from rtface.record.seal.blocks import SealedItem, opened_items
from rtface.record.seal.merging import merged
from rtface.record.session import log_of
from rtface.record.session.coding import decode
from rtface.record.session.entries import Entry, SealedEntry, SyncedEntry
from rtface.record.session.logreader import Damage, LogReader
from rtface.record.session.rows import ROW_NAMES, RowBatch, batch_of


class LogReading:
    """Events and rows of a log as far as it is whole, and what stands in it beside them: known once it was gone through.

    Parameters
    ----------
    reader : LogReader
        Of the log.
    key : bytes, optional
        Opens the seal, block by block: `items` has what is in it.

    Attributes
    ----------
    offset : int
        Where the record of what was yielded last begins in the file.
    synced : SyncedEntry or None
        The newest sync that is recorded.
    blocks : set of int
        The numbers of the sealed blocks.
    wrong : list of Damage
        Records that are not what their kind should hold.
    unknown : int
        Records of kinds that this version does not read.
    last_kind : int
        The kind of the last record.
    """

    def __init__(self, reader: LogReader, key: bytes | None = None) -> None:
        self.reader = reader
        self._key = key
        self.offset = 0
        self.synced: SyncedEntry | None = None
        self.blocks: set[int] = set()
        self._items: dict[int, list[SealedItem]] = {}
        self.wrong: list[Damage] = []
        self.unknown = self.last_kind = 0

    def __iter__(self) -> Iterator[Entry | RowBatch]:
        """Yield events and rows in order; `DataError` where the log cannot be read, or the key does not open the seal."""
        for record in self.reader:
            self.last_kind, self.offset = record.kind, record.offset
            sealed: SealedEntry | None = None
            try:
                if record.kind in ROW_NAMES:
                    yield batch_of(record.kind, record.payload)
                elif (entry := decode(record.kind, record.payload)) is None:
                    self.unknown += 1
                elif isinstance(entry, SyncedEntry):
                    self.synced = entry
                elif isinstance(entry, SealedEntry):
                    self.blocks.add(entry.number)
                    sealed = entry
                else:
                    yield entry
            except DataError as error:
                end = record.offset + len(record.payload)
                self.wrong.append(Damage(record.offset, end, str(error)))
            if sealed is not None and self._key is not None:
                self._items[sealed.number] = opened_items({sealed.number: sealed.data}, self._key)

    @property
    def items(self) -> list[SealedItem]:
        """What was in the sealed blocks, in order; nothing without a key."""
        return [item for number in sorted(self._items) for item in self._items[number]]


def iterate(path: Path, key: bytes | None = None) -> Iterator[Entry | RowBatch]:
    """Yield events and rows in the order of the log, as far as it is whole; never more than one record in memory.

    Parameters
    ----------
    path : Path
        A session's folder, or its log.
    key : bytes, optional
        Opens the seal: what is in it is yielded in its place, and kept in memory. Sealed blocks are left out without it.

    Raises
    ------
    DataError
        There is no session, a record is not what it should be, or the key does not open it.
    """
    log = existing_log(path)
    if key is None:
        yield from _clear(log)
        return
    blocks = {
        entry.number: entry.data
        for record in LogReader(log)
        if record.kind == SealedEntry.kind
        and isinstance(entry := decode(record.kind, record.payload), SealedEntry)
    }
    yield from merged(_clear(log), opened_items(blocks, key))


def _clear(log: Path) -> Iterator[Entry | RowBatch]:
    for record in LogReader(log):
        if record.kind in ROW_NAMES:
            yield batch_of(record.kind, record.payload)
        elif record.kind != SealedEntry.kind and (entry := decode(record.kind, record.payload)) is not None:
            yield entry


def existing_log(path: Path) -> Path:
    """Return the log of a session that is given by its folder or by its log; `DataError` where there is none."""
    log = log_of(path)
    if not log.is_file():
        raise DataError(f"{path}: no session there; give its folder or its {log.name}")
    return log
