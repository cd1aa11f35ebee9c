"""The seal of a blinded session: all its blocks are there, with their key, and open to what was counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rtface.core.errors import DataError
from rtface.record.seal.blocks import SealedItem
from rtface.record.seal.cipher import KEY_NAME, fingerprint, read_key
from rtface.record.session.coding import decode
from rtface.record.session.entries import ENTRIES, SecretEntry
from rtface.record.session.reader import Session
from rtface.record.session.verify.finding import SessionFinding, some


def check_seal(session: Session) -> Iterator[SessionFinding]:
    """Yield whether all that was sealed is there, and can be opened; without a seal there is nothing to find."""
    name, seal = "seal", session.seal
    if seal is None:
        return
    found = False
    gone = sorted(set(range(max(session.sealed, default=-1) + 1)) - set(session.sealed))
    if gone:
        found = True
        yield SessionFinding(name, "missing", f"{len(gone)} of its blocks: number {some(gone)}")
    try:
        if fingerprint(read_key(session.folder)) != seal.key_sha256:
            found = True
            yield SessionFinding(name, "wrong", f"{KEY_NAME} is the key of another session")
    except DataError as error:
        found = True
        yield SessionFinding(name, "missing", str(error))
    items = session.unsealed
    if items is not None and [each.number for each in items] != list(range(len(items))):
        found = True
        yield SessionFinding(name, "missing", "some entries in it: they are numbered with gaps")
    if items is not None and session.closed is not None:
        told = (each.hidden.get("totals") for each in map(_secret, items) if each is not None)
        totals = next((each for each in told if each is not None), None)
        counted = Counter(ENTRIES[each.kind].name for each in items)
        counted[SecretEntry.name] -= 1  # the totals themselves
        if totals is None or +counted != Counter(totals):
            found = True
            yield SessionFinding(name, "wrong", "other counts in it than when it was closed")
    if not found:
        entries = "not opened" if items is None else f"{len(items)} entries in them"
        yield SessionFinding(
            name, "whole", f"{len(session.sealed)} blocks, numbered without a gap; {entries}"
        )


def _secret(item: SealedItem) -> SecretEntry | None:
    entry = decode(item.kind, item.payload)
    return entry if isinstance(entry, SecretEntry) else None
