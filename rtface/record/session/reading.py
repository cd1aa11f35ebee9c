"""A log gone through once: its events and rows, and what is known of it after its last record."""

from __future__ import annotations

from collections.abc import Iterator

from rtface.core.errors import DataError
from rtface.record.seal.blocks import SealedItem, opened_items
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
