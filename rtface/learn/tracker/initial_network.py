"""The network that the training of a student begins with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rtface.core.errors import UsageError
from rtface.learn.tracker.families import architecture
from rtface.networks.build import build_network
from rtface.networks.graph import NetworkWithDecode
from rtface.networks.surgery import with_keypoints
from rtface.track.manifest import WEIGHTS_FILE
from rtface.track.store import Engine, load_engine, shipped_folder
from rtface.track.torch_graph import torch_network

FAMILIES_OF_STUDENTS = ("small", "fast", "tiny")
_STUDENTS = f"{', '.join(FAMILIES_OF_STUDENTS[:-1])} or {FAMILIES_OF_STUDENTS[-1]}"


def shipped_start(teacher: Engine, family: str) -> Engine | None:
    """Return the shipped engine of a family that can be trained, if it finds half of the teacher's keypoints."""
    theirs = {entry.name for entry in teacher.manifest.keypoints if entry.trained}
    for weights in sorted(shipped_folder().glob(f"*/{WEIGHTS_FILE}")):
        engine = load_engine(str(weights.parent))
        ours = {entry.name for entry in engine.manifest.keypoints if entry.trained}
        if _is_of(engine, family) and 2 * len(ours & theirs) >= len(theirs):
            return engine
    return None


def student_network(
    keypoints: Sequence[str], *, family: str | None, start: Engine | None, seed: int
) -> tuple[NetworkWithDecode, dict[str, Any]]:
    """Return a network to be trained and what it is built of.

    Parameters
    ----------
    keypoints : sequence of str
        What it is to find.
    family : str or None
        One of `FAMILIES_OF_STUDENTS`; when None that of `start`, else ``small``.
    start : Engine or None
        An engine whose weights are taken over, those of its keypoints by name; when None they are random.
    seed : int
        Of the random weights.

    Raises
    ------
    UsageError
        The family is not a student's, or `start` is not of it.
    EngineError
        The start has no weights, or they do not fit its architecture.
    """
    if start is None:
        if family is not None and family not in FAMILIES_OF_STUDENTS:
            raise UsageError(f"a student is of the family {_STUDENTS}, not {family}")
        built_of = architecture(family or FAMILIES_OF_STUDENTS[0], keypoints)
        return build_network(built_of, seed), built_of
    manifest = start.manifest
    if manifest.architecture.get("name") != "small":
        raise UsageError(
            f"{manifest.name} has the architecture {manifest.architecture.get('name')}: a student starts from "
            f"an engine of the family {_STUDENTS}, or from random weights"
        )
    if family is not None and not _is_of(start, family):
        raise UsageError(f"{manifest.name} is not of the family {family}: leave out one of the two")
    return with_keypoints(torch_network(start), manifest.architecture, manifest.names, keypoints)


def _is_of(engine: Engine, family: str) -> bool:
    return dict(engine.manifest.architecture) == architecture(family, engine.manifest.names)
