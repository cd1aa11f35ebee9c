"""The sealed entries of a log put back among those in the clear, as if nothing had been sealed."""

from __future__ import annotations

import dataclasses
import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rtface.core.errors import DataError
from rtface.record.seal.blocks import SealedItem
from rtface.record.session.coding import decode
from rtface.record.session.entries import (
    ClosedEntry,
    ConfigurationEntry,
    DecisionEntry,
    Entry,
    LatencyEntry,
    OpenedEntry,
    SealedEntry,
    SecretEntry,
    SyncedEntry,
    UnrecordedEntry,
)
from rtface.record.session.rows import FEATURES, ROW_NAMES, RowBatch

NOT_QUEUED = (OpenedEntry, SyncedEntry, UnrecordedEntry, ClosedEntry, SealedEntry)
"""Events that the writer makes by itself: they are not counted where a sealed entry says its place."""


def without_seeds(resolved: str) -> tuple[str, dict[str, Any]]:
    """Return rules as JSON without the seeds that a session drew, and these by rule."""
    if not resolved:
        return resolved, {}
    rules = json.loads(resolved)
    seeds: dict[str, Any] = {}
    for name, rule in rules.get("rules", {}).items():
        schedule = rule.get("schedule")
        if schedule is not None and schedule.get("session_seed") is not None:
            seeds[name], schedule["session_seed"] = schedule["session_seed"], None
    return json.dumps(rules), seeds


def merged(clear: Iterable[Entry | RowBatch], items: Iterable[SealedItem]) -> Iterator[Entry | RowBatch]:
    """Yield what was recorded in the clear and what was sealed, in the order in which it was recorded.

    Raises
    ------
    DataError
        A sealed entry is not what its kind should hold.
    """
    return iter(_Merging(items).merge(clear))


class _Merging:
    def __init__(self, items: Iterable[SealedItem]) -> None:
        self._waiting: deque[tuple[SealedItem, Entry]] = deque()
        self._secrets: dict[int | None, Mapping[str, Any]] = {}
        self._light: LatencyEntry | None = None
        for item in items:
            entry = decode(item.kind, item.payload)
            if isinstance(entry, SecretEntry):
                self._secrets[entry.decision] = {**self._secrets.get(entry.decision, {}), **entry.hidden}
            elif entry is not None:
                self._waiting.append((item, entry))
        self._events = self._features = 0

    def merge(self, clear: Iterable[Entry | RowBatch]) -> Iterator[Entry | RowBatch]:
        for each in clear:
            yield from self._due()
            if isinstance(each, RowBatch):
                yield from self._split(each)
                continue
            yield self._whole(each)
            self._events += not isinstance(each, NOT_QUEUED)
        for _, entry in self._waiting:
            yield entry

    def _due(self) -> Iterator[Entry]:
        while self._waiting:
            item, entry = self._waiting[0]
            if item.events > self._events or item.features > self._features:
                return
            self._waiting.popleft()
            if isinstance(entry, LatencyEntry):
                self._light = entry
            yield entry

    def _split(self, batch: RowBatch) -> Iterator[Entry | RowBatch]:
        if batch.name != ROW_NAMES[FEATURES]:
            yield batch
            return
        rows = batch.rows
        while len(rows):
            count = len(rows)
            if self._waiting and self._waiting[0][0].events <= self._events:
                count = min(count, max(1, self._waiting[0][0].features - self._features))
            yield RowBatch(batch.name, rows[:count], batch.camera)
            self._features += count
            rows = rows[count:]
            yield from self._due()

    def _whole(self, entry: Entry) -> Entry:
        """Return an entry with what was hidden of it."""
        if isinstance(entry, DecisionEntry) and entry.number in self._secrets:
            return dataclasses.replace(entry, **self._secrets[entry.number])
        if isinstance(entry, ConfigurationEntry) and (
            seeds := self._secrets.get(None, {}).get("session_seed")
        ):
            return dataclasses.replace(entry, resolved=_with_seeds(entry.resolved, seeds))
        if isinstance(entry, LatencyEntry) and self._light is not None and self._light.t_ns == entry.t_ns:
            return dataclasses.replace(entry, stages={**entry.stages, **self._light.stages})
        return entry


def _with_seeds(resolved: str, seeds: Mapping[str, Any]) -> str:
    try:
        rules = json.loads(resolved)
        for name, seed in seeds.items():
            rules["rules"][name]["schedule"]["session_seed"] = seed
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"the sealed seeds do not belong to the rules in the record: {error}") from error
    return json.dumps(rules)
