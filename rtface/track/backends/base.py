"""The contract of an inference back end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, Protocol, runtime_checkable

from rtface.core.records import Crop, FloatArray, Image


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """What was chosen to run the network, and why; goes to the status and into every result.

    Attributes
    ----------
    name, version : str
        The back end and the version of its runtime.
    device : str
        What it runs on, in the runtime's words.
    precision : str
        Arithmetic as read back from the compiled network: ``f32``, ``bf16``, ``f16``, or ``int8`` when that is what
        its convolutions run in.
    threads : int or None
        Threads on a CPU; None where the question has no meaning.
    why : str
        Why this back end: asked for, or found by probing.
    plan : str or None
        As of `Backend.plan`.
    """

    name: str
    version: str
    device: str
    precision: str
    threads: int | None
    why: str
    plan: str | None = None

    def as_dict(self) -> dict[str, str | int | None]:
        """Return a plain map, for messages and files."""
        return asdict(self)


class Backend(Protocol):
    """Runs an engine's network; one thread owns it from `open` to `close`."""

    @property
    def computes_levels(self) -> bool:
        """Whether the back end takes the frame's intensity levels itself (a GPU does)."""

    @property
    def plan(self) -> str | None:
        """What was compiled for this machine and the crop in force, by its hash, and how it is launched; None on a CPU."""

    def open(self) -> BackendInfo:
        """Load the engine and check it against its manifest.

        Raises
        ------
        BackendError
            The runtime is missing (the message says what to install) or cannot run the engine as asked.
        EngineError
            The live network's inputs or outputs are not what the manifest says.
        """

    def host_memory(self, shape: tuple[int, int]) -> Image:
        """Return zeroed memory for one frame, of the kind this back end reads fastest."""

    def prepare(self, frame_shape: tuple[int, int], crop: Crop) -> None:
        """Compile and warm up for frames of one shape and a crop of it; may take seconds."""

    def infer(self, frame: Image, levels: FloatArray) -> FloatArray:
        """Find the keypoints of one frame.

        Parameters
        ----------
        frame : ndarray, shape (height, width), uint8
            The whole camera frame, as in `prepare`.
        levels : ndarray, shape (2,), float32
            The frame's low and high gray level; ignored by a back end that computes them.

        Returns
        -------
        ndarray, shape (K, C), float32
            The manifest's decode columns, x and y in pixels of the network's input. Borrowed: valid until the
            next call.
        """

    def close(self) -> None:
        """Free everything; may be called at any time, any number of times."""


DeviceStage = Literal["copy_in", "prepare", "network", "decode"]
"""What happens to a frame on a GPU, in this order: the frame to the device; its histogram, levels, crop, padding and
resize; the network alone; maps to keypoints, which are written into the host's memory."""


@runtime_checkable
class Itemises(Protocol):
    """What a back end may offer besides, for benchmarks alone: found by ``isinstance``, and never on the hot path."""

    def itemise(self, frame: Image) -> Mapping[DeviceStage, int]:
        """Run one frame stage by stage, and return what each took on the device.

        Each stage is launched as `infer` launches all of them (as a graph of its own where that is one graph), so that
        the launches of a network's many kernels are not counted as its work. Called after `prepare`, by the same
        thread; the first call may take long. The next `infer` is not changed by it.

        Parameters
        ----------
        frame : ndarray, shape (height, width), uint8
            As of `Backend.infer`.

        Returns
        -------
        dict
            Nanoseconds between events on the device's own clock. A stage that cannot be told apart is absent.
        """

    def memory_used(self) -> int:
        """Return the bytes of the device's memory that are in use, by whomever."""
