"""What is to be distilled: the teacher, the recordings, and how the student is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rtface.core.errors import UsageError
from rtface.core.records import Crop
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.tracker.labelled_frames import pictures_of
from rtface.learn.tracker.optimise import Recipe
from rtface.learn.tracker.samples import Augmentation, Picture
from rtface.track.store import Engine

SPECIALIST = Recipe(
    steps=1500,
    simulated_share=0.0,
    learning_rate=2e-3,
    other_shape=0.0,
    augmentation=Augmentation(
        rotation_deg=6.0,
        zoom=1.1,
        shift=0.05,
        stretch=1.03,
        flip=0.0,
        contrast=0.2,
        gamma=1.25,
        blur=0.15,
        noise=0.03,
        occlusion=0.1,
    ),
)
"""One rig, one side of the face: gentle changes, so that the network becomes precise."""


@dataclass(frozen=True, slots=True)
class DistilRequest:
    """What is to be distilled.

    Attributes
    ----------
    teacher : Engine
        Any checked engine.
    videos : sequence of Path
        Video files and folders of images, without labels.
    crop : Crop or None
        The face in their frames; the whole frames when None.
    frames : int
        Most frames to train on, of all recordings together.
    family : str or None
        The student's; when None that of `start`, else ``small``.
    start : Engine or None
        An engine of the family whose weights the student starts from; random ones when None.
    labels : LabelSet or None
        A person's labels, mixed in with weight 1. They must not be of the recordings' ends, which are tested on.
    average : bool
        Whether the teacher's labels are averages over small shifts of the frame, which takes five times as long and
        lessens its noise; else they are its plain points.
    recipe : Recipe
    """

    teacher: Engine
    videos: Sequence[Path]
    crop: Crop | None = None
    frames: int = 400
    family: str | None = None
    start: Engine | None = None
    labels: LabelSet | None = None
    average: bool = True
    recipe: Recipe = SPECIALIST

    @property
    def keypoints(self) -> tuple[str, ...]:
        """Names of the teacher's keypoints, which become the student's."""
        return self.teacher.manifest.names


def labelled_pictures(request: DistilRequest) -> list[Picture]:
    """Return a person's labels, with the teacher's keypoints in its order; others are left out."""
    if request.labels is None:
        return []
    if not set(request.labels.labelled) & set(request.keypoints):
        raise UsageError(
            f"the labels are of {', '.join(request.labels.keypoints)}, none of which the teacher finds "
            f"({', '.join(request.keypoints)}): rename them"
        )
    return pictures_of(request.labels.arranged(request.keypoints), request.crop)


def check_names(videos: Sequence[Path]) -> None:
    """Refuse recordings of the same name, by which the report could not tell them apart, with a `UsageError`."""
    names = [video.name for video in videos]
    for video in videos:
        if names.count(video.name) > 1:
            raise UsageError(f"{video}: another recording has the same name; rename one")


def configuration(request: DistilRequest, built_of: dict[str, Any]) -> dict[str, Any]:
    """Return all that the result depends on, of JSON's types, for `rtface.learn.run_folder.open_run`."""
    return {
        "verb": "distil",
        "teacher": request.teacher.manifest.name,
        "teacher_sha256": request.teacher.sha256,
        "videos": [str(video) for video in request.videos],
        "crop": None if request.crop is None else asdict(request.crop),
        "frames": request.frames,
        "average": request.average,
        "architecture": built_of,
        "start": None if request.start is None else request.start.manifest.name,
        "start_sha256": None if request.start is None else request.start.sha256,
        "labels_sha256": None if request.labels is None else request.labels.digest,
        "recipe": asdict(request.recipe),
    }
