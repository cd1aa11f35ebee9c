"""Whether a session is whole: every claim that its record makes of itself, checked."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rtface.core.errors import DataError
from rtface.core.outputs import OutputEvent, OutputReason
from rtface.record.seal.blocks import SealedItem
from rtface.record.seal.cipher import KEY_NAME, fingerprint, read_key
from rtface.record.session.coding import decode
from rtface.record.session.encoder import EXACT, count_frames, frame_checksums
from rtface.record.session.entries import (
    ANSWERS,
    ENTRIES,
    NO_NUMBER,
    DecisionEntry,
    FaultEntry,
    GateReplyEntry,
    PulseCommandEntry,
    SecretEntry,
    UnrecordedEntry,
    VideoEntry,
)
from rtface.record.session.reader import Session
from rtface.record.session.rows import ROW_NAMES, UNKNOWN, Rows

Verdict = Literal["whole", "missing", "wrong"]

_MOST_NAMED = 5
_LIGHT = {
    OutputReason.LIGHT_UNCOMMANDED.value: "a photodiode saw light that no command explains",
    OutputReason.LIGHT_MISSING.value: "a photodiode did not see light that was commanded",
}
_ORDER = ("arrival_ns", "taken_ns", "prepared_ns", "inferred_ns", "decided_ns", "published_ns")


@dataclass(frozen=True, slots=True)
class SessionFinding:
    """What one check found.

    Attributes
    ----------
    check : str
        What was checked.
    verdict : str
        ``whole``; ``missing``: something is not there, and its lack is recorded or the record ends early; ``wrong``:
        the record contradicts itself, or was changed.
    text : str
        What was found, for a person.
    """

    check: str
    verdict: Verdict
    text: str


def verify(
    session: Session,
    *,
    blinded: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[SessionFinding]:
    """Check a session and return what each check found, in a fixed order; `docs/sessions.md` lists the checks.

    Parameters
    ----------
    session : Session
        As it was read.
    blinded : bool
        Leave out every number that tells how many trials were light, and which.
    progress : callable
        Called with the frames of the video that were checked, and how many there are.
    """
    checks: tuple[Callable[[], Iterator[SessionFinding]], ...] = (
        lambda: _log(session),
        lambda: _totals(session, blinded),
        lambda: _losses(session),
        lambda: _texts(session),
        lambda: _decisions(session),
        lambda: _seal(session),
        lambda: _pulses(session, blinded),
        lambda: _seen_light(session, blinded),
        lambda: _times(session),
        lambda: _video(session, progress),
    )
    return [finding for check in checks for finding in check()]


def _log(session: Session) -> Iterator[SessionFinding]:
    name = "log"
    for damage in session.damage:
        yield SessionFinding(name, "wrong", damage.in_words())
    for text in session.unread:
        yield SessionFinding(name, "missing", text)
    if session.state == "closed" and not session.unknown:
        yield SessionFinding(
            name, "whole", f"closed; every checksum and the chain hold ({session.fingerprint[:16]}...)"
        )


def _totals(session: Session, blinded: bool) -> Iterator[SessionFinding]:
    name = "totals"
    closed = session.closed
    if closed is None:
        return
    rows = {each: len(getattr(session, each)) for each in ROW_NAMES.values()}
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


def _losses(session: Session) -> Iterator[SessionFinding]:
    name = "kept"
    lost = session.last(UnrecordedEntry)
    if lost is not None:
        counts = {each: getattr(lost, each) for each in (*ROW_NAMES.values(), "events")}
        listed = ", ".join(f"{count} {each}" for each, count in counts.items() if count)
        yield SessionFinding(name, "missing", f"the disk was too slow for {listed}")
    video = session.last(VideoEntry)
    if video is not None and video.dropped:
        yield SessionFinding(name, "missing", f"{video.dropped} of {video.offered} frames were not recorded")
    for fault in session.of(FaultEntry):
        if fault.what in ("lost", "write", "gone", "video", "internal"):
            yield SessionFinding(name, "missing", fault.text)
    if lost is None and not (video is not None and video.dropped):
        known = "missing" if session.closed is not None else "recorded as lost, up to where the log ends"
        yield SessionFinding(name, "whole", f"nothing that was handed over is {known}")


def _texts(session: Session) -> Iterator[SessionFinding]:
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


def _decisions(session: Session) -> Iterator[SessionFinding]:
    name = "decisions"
    numbers = [each.number for each in session.decisions]
    if numbers == list(range(len(numbers))):
        yield SessionFinding(name, "whole", f"{len(numbers)}, numbered without a gap")
        return
    gone = sorted(set(range(max(numbers) + 1)) - set(numbers))
    if gone:
        yield SessionFinding(name, "missing", f"{len(gone)} of {max(numbers) + 1}: number {_some(gone)}")
    if numbers != sorted(set(numbers)):
        yield SessionFinding(name, "wrong", "they are not in order, or some are there twice")


def _seal(session: Session) -> Iterator[SessionFinding]:
    """Yield whether all that was sealed is there, and can be opened; without a seal there is nothing to find."""
    name, seal = "seal", session.seal
    if seal is None:
        return
    found = False
    gone = sorted(set(range(max(session.sealed, default=-1) + 1)) - set(session.sealed))
    if gone:
        found = True
        yield SessionFinding(name, "missing", f"{len(gone)} of its blocks: number {_some(gone)}")
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


def _pulses(session: Session, blinded: bool) -> Iterator[SessionFinding]:
    name = "pulses"
    if session.is_sealed:
        yield SessionFinding(name, "whole", "sealed: commands and answers are checked with --unblind alone")
        return
    decisions = {each.number: each for each in session.decisions}
    commands = session.of(PulseCommandEntry)
    fires = [each for each in commands if each.command == "fire"]
    commanded = Counter(each.decision for each in fires)
    replies = session.of(GateReplyEntry)
    answered = {(each.output, each.number) for each in replies if each.event in ANSWERS}
    lit = {(each.output, each.number) for each in replies if each.event == OutputEvent.LIGHT_ON}
    problems: list[tuple[Verdict, str, list[int]]] = [
        (
            "missing",
            "decided to fire without a command to an output, decision",
            [
                number
                for number, each in decisions.items()
                if each.action == "fire" and number not in commanded
            ],
        ),
        (
            "missing",
            "commands without an answer, of decision",
            [each.decision for each in fires if (each.output, each.number) not in answered],
        ),
        (
            "wrong",
            "fired twice, decision",
            [n for n, count in commanded.items() if count > 1 and n != NO_NUMBER],
        ),
        (
            "wrong",
            "fired without a decision to fire, decision",
            [number for number in commanded if not _fires(decisions.get(number))],
        ),
        (
            "wrong",
            "light came on without a command to fire, command",
            [
                number
                for output, number in lit - {(each.output, each.number) for each in fires}
                if number is not None
            ],
        ),
    ]
    found = False
    for verdict, text, which in problems:
        if which:
            found = True
            problem = f"{len(which)} {text} {_some(sorted(which))}"
            hidden = f"some {text.rpartition(',')[0] or text} (blinded)"
            yield SessionFinding(name, verdict, hidden if blinded else problem)
    if not found and blinded:
        yield SessionFinding(
            name, "whole", "each commanded, decided before and answered; how many is blinded"
        )
    elif not found:
        counted = f"{len(fires)} commanded, each decided before and answered; {len(lit)} of them lit"
        yield SessionFinding(name, "whole", counted)


def _seen_light(session: Session, blinded: bool) -> Iterator[SessionFinding]:
    """Yield what a photodiode saw otherwise; without one there is nothing to find."""
    opened_ns = session.opened.t_ns if session.opened is not None else 0
    for reply in session.of(GateReplyEntry):
        text = _LIGHT.get(reply.reason)
        if text is None or reply.event != OutputEvent.STATE:
            continue
        if blinded:
            yield SessionFinding(
                "light", "wrong", "a photodiode saw other light than was commanded (blinded)"
            )
            return
        at_ns = reply.t_ns if reply.host_ns is None else reply.host_ns
        yield SessionFinding("light", "wrong", f"{text}, at {(at_ns - opened_ns) / 1e9:.3f} s")


def _fires(decision: DecisionEntry | None) -> bool:
    return decision is not None and decision.action == "fire"


def _times(session: Session) -> Iterator[SessionFinding]:
    name = "times"
    poses, published = session.poses, session.published
    wrong = []
    for before, after in itertools.pairwise(_ORDER):
        if len(back := np.flatnonzero((poses[after] < poses[before]) & (poses[after] != UNKNOWN))):
            wrong.append(f"{after} before {before} at frame {_ids(poses, back)}")
    for rows, column in ((poses, "taken_ns"), (session.features, "now_ns"), (published, "published_ns")):
        if len(back := np.flatnonzero(np.diff(rows[column]) < 0) + 1):
            wrong.append(f"{column} goes back at frame {_ids(rows, back)}")
    frames, first, times = np.unique(published["frame_id"], return_index=True, return_counts=True)
    if len(again := np.flatnonzero(times > 1)):
        wrong.append(f"published more than once: frame {_ids(published, first[again])}")
    moments = np.array([each.t_ns for each in session.decisions], np.int64)
    if len(back := np.flatnonzero(np.diff(moments) < 0) + 1):
        wrong.append(f"decisions go back in time at number {_some([int(each) for each in back])}")
    for text in wrong:
        yield SessionFinding(name, "wrong", text)
    stamped = np.flatnonzero(poses["published_ns"] != UNKNOWN)
    holes = np.setdiff1d(np.arange(stamped[-1]), stamped) if len(stamped) else stamped
    if len(holes):
        yield SessionFinding(name, "missing", f"when it was published, of frame {_ids(poses, holes)}")
    if len(alone := np.flatnonzero(~np.isin(frames, poses["frame_id"]))):
        yield SessionFinding(
            name, "missing", f"the pose of a published frame: {_ids(published, first[alone])}"
        )
    if not wrong and not len(holes) and not len(alone):
        yield SessionFinding(
            name,
            "whole",
            f"in order at every frame and from frame to frame; {len(stamped)} with published_ns",
        )


def _video(session: Session, progress: Callable[[int, int], None]) -> Iterator[SessionFinding]:
    name = "video"
    video = session.last(VideoEntry)
    if video is None:
        if len(session.frames):
            yield SessionFinding(name, "wrong", "there is a frame index, but no video is recorded")
        return
    if session.frames["position"].tolist() != list(range(len(session.frames))):
        yield SessionFinding(name, "missing", "the frame index has gaps")
    try:
        found = list(_compared(session, video, progress))
    except DataError as error:
        found = [SessionFinding(name, "missing", str(error))]
    yield from found


def _compared(
    session: Session, video: VideoEntry, progress: Callable[[int, int], None]
) -> Iterator[SessionFinding]:
    name, path, rows = "video", session.folder / video.file, session.frames
    if video.codec in EXACT:
        wanted = dict(zip(rows["position"].tolist(), rows["crc32"].tolist(), strict=True))
        pictures, wrong = 0, []
        for pictures, checksum in enumerate(frame_checksums(path), 1):
            if wanted.get(pictures - 1, checksum) != checksum:
                wrong.append(pictures - 1)
            progress(pictures, len(rows))
        if wrong:
            yield SessionFinding(
                name, "wrong", f"{len(wrong)} pictures are not those recorded: number {_some(wrong)}"
            )
    else:
        pictures, wrong = count_frames(path), []
    if pictures < len(rows):
        yield SessionFinding(
            name, "missing", f"{len(rows) - pictures} of the {len(rows)} frames in the index"
        )
    elif pictures > len(rows):
        yield SessionFinding(
            name, "missing", f"the index lacks the last {pictures - len(rows)} of {pictures} pictures"
        )
    elif not wrong:
        exact = "every pixel as recorded" if video.codec in EXACT else "not exact, so counted only"
        yield SessionFinding(name, "whole", f"{pictures} frames ({video.codec}: {exact})")


def _ids(rows: Rows, at: np.ndarray[tuple[int], np.dtype[np.intp]]) -> str:
    return _some(rows["frame_id"][at[: _MOST_NAMED + 1]].tolist(), len(at))


def _some(numbers: list[int], count: int | None = None) -> str:
    """Return the first few of many numbers, for a person."""
    more = (len(numbers) if count is None else count) - _MOST_NAMED
    return ", ".join(map(str, numbers[:_MOST_NAMED])) + (f" and {more} more" if more > 0 else "")
