"""The log itself: undamaged, with as much in it as was counted, with nothing lost, and with the texts that were hashed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator

from rtface.record.session.entries import ENTRIES, FaultEntry, UnrecordedEntry, VideoEntry
from rtface.record.session.reader import Session
from rtface.record.session.rows import ROW_NAMES
from rtface.record.session.verify.finding import SessionFinding


def check_log(session: Session) -> Iterator[SessionFinding]:
    """Yield damage of the log; that it is whole only of one that was closed."""
    name = "log"
    for damage in session.damage:
        yield SessionFinding(name, "wrong", damage.in_words())
    for text in session.unread:
        yield SessionFinding(name, "missing", text)
    if session.state == "closed" and not session.unknown:
        yield SessionFinding(
            name, "whole", f"closed; every checksum and the chain hold ({session.fingerprint[:16]}...)"
        )


def check_totals(session: Session, blinded: bool) -> Iterator[SessionFinding]:
    """Yield whether there is as much of each kind as was counted at the end; of a log without one nothing."""
    name = "totals"
    closed = session.closed
    if closed is None:
        return
    rows = {each: session.row_count(each) for each in ROW_NAMES.values()}
    events = Counter(session.counted)
    events[type(closed).name] -= 1
    counts = events + Counter(rows)
    wrong = [
        f"{kind}: {counts[kind]} of {closed.totals.get(kind, 0)}"
        for kind in sorted({*(each.name for each in ENTRIES.values()), *rows})
        if counts[kind] != closed.totals.get(kind, 0)
    ]
    if wrong:
        counts_of = "; which is blinded" if blinded else f": {', '.join(wrong)}"
        yield SessionFinding(name, "wrong", f"other counts than when it was closed{counts_of}")
    else:
        listed = ", ".join(f"{count} {each}" for each, count in rows.items())
        counted = "as many events as were counted" if blinded else f"{events.total()} events"
        yield SessionFinding(name, "whole", f"{counted}, {listed}")


def check_kept(session: Session) -> Iterator[SessionFinding]:
    """Yield what was handed over and not recorded."""
    name = "kept"
    lost = session.last(UnrecordedEntry)
    if lost is not None:
        counts = {each: getattr(lost, each) for each in (*ROW_NAMES.values(), "events")}
        listed = ", ".join(f"{count} {each}" for each, count in counts.items() if count)
        yield SessionFinding(name, "missing", f"the disk was too slow for {listed}")
    videos = {each.file: each for each in session.of(VideoEntry)}.values()
    dropped = [each for each in videos if each.dropped]
    for each in dropped:
        of = f" of {each.camera_name}" if each.camera_name else ""
        yield SessionFinding(
            name, "missing", f"{each.dropped} of {each.offered} frames{of} were not recorded"
        )
    for fault in session.of(FaultEntry):
        if fault.what in ("lost", "write", "gone", "video", "internal"):
            yield SessionFinding(name, "missing", fault.text)
    if lost is None and not dropped:
        known = "missing" if session.closed is not None else "recorded as lost, up to where the log ends"
        yield SessionFinding(name, "whole", f"nothing that was handed over is {known}")


def check_texts(session: Session) -> Iterator[SessionFinding]:
    """Yield whether configuration and rules have the hashes that were recorded."""
    name = "texts"
    if session.opened is None:
        yield SessionFinding(name, "missing", "how the session began is not in the log")
    configuration, hashes = session.configuration, session.hashes
    if configuration is None or hashes is None:
        yield SessionFinding(name, "missing", "configuration or hashes are not in the log")
        return
    wrong = [
        each
        for each, text in (("rig", configuration.rig), ("rules", configuration.rules))
        if hashes.sha256.get(each) != hashlib.sha256(text.encode()).hexdigest()
    ]
    if wrong:
        yield SessionFinding(
            name, "wrong", f"the text of {' and '.join(wrong)} has another hash than was recorded"
        )
    else:
        yield SessionFinding(
            name, "whole", f"configuration and rules have their hashes; known too: {_others(hashes.sha256)}"
        )


def _others(sha256: object) -> str:
    assert isinstance(sha256, dict)
    return ", ".join(sorted(set(sha256) - {"rig", "rules"})) or "nothing"
