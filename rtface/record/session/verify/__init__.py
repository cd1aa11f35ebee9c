"""Whether a session is whole: every claim that its record makes of itself, checked; a module a subject."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from rtface.record.session.reader import Session
from rtface.record.session.verify.finding import SessionFinding
from rtface.record.session.verify.light import check_decisions, check_light, check_pulses
from rtface.record.session.verify.log import check_kept, check_log, check_texts, check_totals
from rtface.record.session.verify.seal import check_seal
from rtface.record.session.verify.times import check_times
from rtface.record.session.verify.video import check_video


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
        lambda: check_log(session),
        lambda: check_totals(session, blinded),
        lambda: check_kept(session),
        lambda: check_texts(session),
        lambda: check_decisions(session),
        lambda: check_seal(session),
        lambda: check_pulses(session, blinded),
        lambda: check_light(session, blinded),
        *(partial(check_times, each) for each in _by_camera(session)),
        *(partial(check_video, each, progress) for each in _by_camera(session)),
    )
    return [finding for check in checks for finding in check()]


def _by_camera(session: Session) -> list[Session]:
    """Return the session of each camera, where there are several."""
    return [session.of_camera(name) for name in session.cameras] or [session]
