"""SLEAP's labels: ``.slp`` with its videos, or ``.pkg.slp`` with the images inside. The only module that uses sleap-io.

Instances that a user labelled count, predictions do not; a frame with predictions alone is left out. rtface tracks
one animal, so a frame with two labelled instances is refused: nothing states which of them is the animal. A point that
is marked invisible is a missing label, as in SLEAP's own training.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PureWindowsPath
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.extras import how_to_install
from rtface.core.records import Image
from rtface.learn.labels.formats.checks import Fault, Row, check_size, gather
from rtface.learn.labels.labelset import LabelSet

if TYPE_CHECKING:
    from sleap_io import LabeledFrame, Labels, Video


def read_sleap(path: Path) -> LabelSet:
    """Read a SLEAP file; a video that is not where the file names it is taken from beside the file.

    Raises
    ------
    DataError
        sleap-io is not installed, the file or a video cannot be read, a frame has several labelled instances, an
        image has another size than the file states, or a label is wrong; named with the video and the frame's number,
        all faults in the one message.
    """
    try:
        import sleap_io
    except ModuleNotFoundError as error:
        raise DataError(
            f"{path} needs {error.name} to be read, which is not installed: {how_to_install('sleap')}"
        ) from error
    if not path.is_file():
        raise DataError(f"{path} is missing")
    try:
        labels = sleap_io.load_slp(str(path), open_videos=False)
    except Exception as error:  # sleap-io raises all kinds for a file that is not SLEAP's.
        raise DataError(f"{path} cannot be read as a SLEAP file: {error}") from error
    keypoints = tuple(dict.fromkeys(name for skeleton in labels.skeletons for name in skeleton.node_names))
    return gather(path, keypoints, _rows(path, labels, keypoints))


def _rows(path: Path, labels: Labels, keypoints: Sequence[str]) -> Iterator[Row | Fault]:
    names = _video_names(labels.videos)
    for video in labels.videos:
        name = names[id(video)]
        frames = [frame for frame in labels.labeled_frames if frame.video is video and frame.user_instances]
        if not frames:
            continue
        yield from _video_rows(path, video, name, frames, keypoints)


def _video_rows(
    path: Path, video: Video, name: str, frames: Sequence[LabeledFrame], keypoints: Sequence[str]
) -> Iterator[Row | Fault]:
    try:
        _open(path, video, name)
    except DataError as error:
        yield error
        return
    try:
        for frame in sorted(frames, key=lambda frame: int(frame.frame_idx)):
            where = f"{path}: video {name}, frame {frame.frame_idx}"
            try:
                xy = _points(frame, keypoints, where)
                image = _image(video, int(frame.frame_idx), where)
            except DataError as error:
                yield error
                continue
            yield Row(where, _frame_name(video, name, int(frame.frame_idx)), name, image, xy)
    finally:
        video.close()


def _points(frame: LabeledFrame, keypoints: Sequence[str], where: str) -> NDArray[np.float64]:
    if (count := len(frame.user_instances)) > 1:
        raise DataError(f"{where}: {count} labelled instances; rtface tracks one animal: keep one a frame")
    instance = frame.user_instances[0]
    xy = np.full((len(keypoints), 2), np.nan)
    for node, point in zip(instance.skeleton.node_names, instance.numpy(), strict=True):
        xy[keypoints.index(node)] = point[:2]
    return xy


def _open(path: Path, video: Video, name: str) -> None:
    """Open a video; one that has moved is taken from beside the file."""
    files = video.filename if isinstance(video.filename, list) else [video.filename]
    if any("://" in str(file) for file in files):
        raise DataError(f"{path}: video {name} is at {files[0]}; rtface fetches nothing: download it first")
    try:
        if not all(Path(file).exists() for file in files):
            beside = [str(path.resolve().parent / PureWindowsPath(file).name) for file in files]
            if missing := [file for file in beside if not Path(file).exists()]:
                raise DataError(
                    f"{path}: video {name} is missing: neither {files[beside.index(missing[0])]} nor {missing[0]} exists. "
                    "Put it there, or export the labels with their images (.pkg.slp)"
                )
            video.replace_filename(beside if isinstance(video.filename, list) else beside[0], open=False)
        video.open()
    except DataError:
        raise
    except Exception as error:  # Whatever the library that decodes the video raises.
        raise DataError(f"{path}: video {name} cannot be opened: {error}") from error


def _image(video: Video, index: int, where: str) -> Image:
    stated = (video.backend_metadata or {}).get("shape")
    try:
        image = np.asarray(video[index])
    except Exception as error:  # As above.
        raise DataError(f"{where}: the image cannot be read: {error}") from error
    if image.ndim == 3:
        image = image[..., 0] if image.shape[2] == 1 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if image.ndim != 2 or image.dtype != np.uint8:
        raise DataError(f"{where}: the image has shape {image.shape} and {image.dtype}, not 8-bit pixels")
    if stated is not None:
        check_size(image, int(stated[2]), int(stated[1]), where)
    return np.ascontiguousarray(image, np.uint8)


def _source(video: Video) -> Any:
    """Return the file name or names of the video that was labelled, for a package of images too."""
    while video.source_video is not None:
        video = video.source_video
    return video.filename


def _frame_name(video: Video, name: str, index: int) -> str:
    source = _source(video)
    if isinstance(source, list) and index < len(source):
        return PureWindowsPath(source[index]).name
    return f"{name} {index}"


def _video_names(videos: Sequence[Video]) -> dict[int, str]:
    """Return a name for each video: its file's, with as many folders before it as make it unique.

    The name of a series of images is that of their folder.
    """
    paths = []
    for video in videos:
        source = _source(video)
        path = PureWindowsPath(source[0]).parent if isinstance(source, list) else PureWindowsPath(source)
        paths.append([*path.parent.parts, path.name if isinstance(source, list) else path.stem])
    for length in range(1, max((len(parts) for parts in paths), default=0) + 1):
        names = ["/".join(parts[-length:]) for parts in paths]
        if len(set(names)) == len(names):
            return dict(zip(map(id, videos), names, strict=True))
    return {id(video): f"{paths[at][-1]} {at + 1}" for at, video in enumerate(videos)}
