"""The video: the pictures of the frame index, and with an exact codec every pixel of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rtface.core.errors import DataError
from rtface.record.session.encoder import EXACT, count_frames, frame_checksums
from rtface.record.session.entries import VideoEntry
from rtface.record.session.reader import Session
from rtface.record.session.verify.finding import SessionFinding, some


def check_video(session: Session, progress: Callable[[int, int], None]) -> Iterator[SessionFinding]:
    """Yield whether the video has the frames of the index; of a session without either there is nothing to find."""
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
                name, "wrong", f"{len(wrong)} pictures are not those recorded: number {some(wrong)}"
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
