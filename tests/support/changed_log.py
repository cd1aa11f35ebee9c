"""A session's log copied with something changed in it, and made consistent again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rtface.record.session import LOG_NAME
from rtface.record.session.coding import decode, encode
from rtface.record.session.entries import Entry
from rtface.record.session.log import DiskFile, LogWriter
from rtface.record.session.logreader import LogReader
from rtface.record.session.rows import POSES, decode_rows, encode_rows

Change = Callable[[int, bytes], Iterable[tuple[int, bytes]]]


def changed(source: Path, target: Path, change: Change) -> Path:
    """Copy a log record by record, each as `change` returns it, with chain and checksums made right."""
    target.mkdir()
    log = LogWriter(DiskFile(target / LOG_NAME))
    for record in LogReader(source / LOG_NAME):
        for kind, payload in change(record.kind, record.payload):
            log.append(kind, payload)
    log.commit()
    log.close()
    return target


def events(kind: type[Entry], change: Callable[[Any], Iterable[Entry]]) -> Change:
    def apply(found: int, payload: bytes) -> Iterable[tuple[int, bytes]]:
        if found != kind.kind:
            return [(found, payload)]
        return [(each.kind, encode(each)) for each in change(decode(found, payload))]

    return apply


def flipped_bit(frame_id: int, point: int, mask: int) -> Change:
    """Flip bits of the x coordinate of one keypoint of one frame."""

    def apply(kind: int, payload: bytes) -> Iterable[tuple[int, bytes]]:
        if kind == POSES:
            rows = decode_rows(kind, payload).copy()
            hit = rows["frame_id"] == frame_id
            if hit.any():
                bits = rows["xy"][hit][0][point, 0].view(np.uint32) ^ np.uint32(mask)
                rows["xy"][np.flatnonzero(hit)[0], point, 0] = bits.view(np.float32)
                return [(kind, encode_rows(3, [row.tobytes() for row in rows]))]
        return [(kind, payload)]

    return apply
