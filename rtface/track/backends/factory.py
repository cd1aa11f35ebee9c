"""Choosing a back end: by name, or the first that is there; never silently another than was asked for.

Nothing is imported to find out what is there: packages are found on disk, GPUs through the driver.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from rtface.config import BackendSettings
from rtface.core.errors import BackendError
from rtface.core.extras import how_to_install
from rtface.track.backends.base import Backend
from rtface.track.gpu.libcuda import Gpu, Probe, device_index, gpu_at, probe
from rtface.track.gpu.nvinfer import FULL, HOW_TO_INSTALL, RTX
from rtface.track.gpu.versions import (
    BuiltFor,
    built_for,
    how_to_install_for,
    how_to_install_torch,
    why_too_old,
)
from rtface.track.store import Engine, load_engine

DEFAULT_GPU_ENGINE = "face-3"
"""A GPU runs half precision as fast as int8: the default there is the network that the CPU's was made from."""

OLDEST_FOR_RTX = (7, 5)
NOT_FOR_RTX = frozenset({(8, 7), (9, 0), (10, 0), (10, 3), (11, 0)})
"""Compute capabilities that TensorRT for RTX makes no plans for, though newer than `OLDEST_FOR_RTX`: Jetson's, and those of
the data-centre cards Hopper and Blackwell. Which it really takes is read when it is opened."""

FOR_TENSORRT = "for TensorRT"
"""How the scheme of an int8 engine that TensorRT takes is named at its end (`rtface.learn.engines.quantise`)."""


@dataclass(frozen=True, slots=True)
class BackendKind:
    """A back end that can be chosen.

    Attributes
    ----------
    module, attribute : str
        Where its class is.
    packages : tuple of tuple of str
        What must be installed: of each group one.
    install : str
        The command that installs them.
    """

    module: str
    attribute: str
    packages: tuple[tuple[str, ...], ...]
    install: str


BACKENDS = {
    "tensorrt": BackendKind(
        "rtface.track.backends.tensorrt",
        "TensorrtBackend",
        ((FULL, RTX), ("onnx",)),
        HOW_TO_INSTALL,
    ),
    "openvino": BackendKind(
        "rtface.track.backends.openvino", "OpenvinoBackend", (("openvino",),), "pip install openvino"
    ),
    "torch": BackendKind(
        "rtface.track.backends.torch", "TorchBackend", (("torch",),), how_to_install("train")
    ),
}
"""By name, as in a rig's ``backend.name``."""

_TORCH_ON_GPU = BackendKind(
    "rtface.track.backends.torch_cuda", "TorchCudaBackend", (("torch",),), how_to_install("train")
)


@dataclass(frozen=True, slots=True)
class Installed:
    """What this machine has, found without importing any of it."""

    present: Callable[[str], bool] = lambda package: find_spec(package) is not None
    """Whether a package is installed."""
    torch_has_cuda: Callable[[], bool] = field(default_factory=lambda: _torch_has_cuda)
    """Whether the torch that is installed was built for CUDA."""
    gpus: Callable[[], Probe] = probe
    """The GPUs, or why there are none."""
    built_for: Callable[[str], BuiltFor | None] = built_for
    """Which CUDA a package was built for."""

    def missing(self, kind: BackendKind) -> list[str]:
        """Return what a back end lacks: of each group of packages the first, if none of it is there."""
        return [group[0] for group in kind.packages if not any(map(self.present, group))]

    def too_old(self, kind: BackendKind, gpu: Gpu) -> str:
        """Return why a GPU's driver cannot run what is installed of a back end, and what to do; empty if it can."""
        package = next(filter(self.present, kind.packages[0]))
        return why_too_old(gpu, self.built_for(package))


@dataclass(frozen=True, slots=True)
class BackendChoice:
    """A back end that can run here.

    Attributes
    ----------
    kind : Kind
        Which.
    device : str or None
        What it is to run on, when that was found rather than asked for.
    why : str
        For the record.
    on_gpu : bool
        Whether it runs on a GPU.
    """

    kind: BackendKind
    device: str | None
    why: str
    on_gpu: bool


@dataclass(frozen=True, slots=True)
class PossibleBackend:
    """A back end, and why it cannot run here; `why_not` is empty when it can."""

    name: str
    on_gpu: bool
    why_not: str

    def __str__(self) -> str:
        return f"{self.name} on a GPU" if self.on_gpu else f"{self.name} on the CPU"


def choose(
    settings: BackendSettings, installed: Installed | None = None, engine: Engine | None = None
) -> BackendChoice:
    """Choose a back end, importing none.

    Parameters
    ----------
    settings : BackendSettings
        ``name`` is a back end, or ``auto``: on a machine with a GPU TensorRT, else torch built for CUDA, whichever is
        installed; without one, when neither is, or for what runs on a CPU alone (bf16, an engine in int8 for CPUs),
        OpenVINO, else torch.
    installed : Installed or None
        What there is; found out when None.
    engine : Engine or None
        What is to be run, when that is settled.

    Raises
    ------
    BackendError
        The one asked for cannot run here, or none can; the message says what to install.
    """
    found = installed or Installed()
    if settings.name == "auto":
        return _automatic(settings, found, engine)
    on_gpu = settings.name == "tensorrt" or (settings.name == "torch" and _names_a_gpu(settings))
    kind = _TORCH_ON_GPU if on_gpu and settings.name == "torch" else BACKENDS[settings.name]
    if why_not := _lacks_gpu(kind, found, settings) if on_gpu else _lacks(kind, found):
        raise BackendError(f"backend.name is {settings.name}, but {why_not}")
    return BackendChoice(kind, None, f"asked for: {settings.name}", on_gpu)


def _lacks_gpu(kind: BackendKind, found: Installed, settings: BackendSettings) -> str:
    """Return why a back end finds no GPU that it can run on; a missing driver comes before all that could use it."""
    gpus = found.gpus()
    return (
        _why_not(kind, gpu_at(gpus.gpus, device_index(settings.device)), found)
        if gpus.gpus
        else gpus.why_none
    )


def _why_not(kind: BackendKind, gpu: Gpu, found: Installed) -> str:
    """Return why TensorRT, or torch, does not run on a GPU, and what to do; empty if it can."""
    if lacks := _lacks(kind, found, gpu):
        return lacks
    if kind is _TORCH_ON_GPU:
        if not found.torch_has_cuda():
            return f"the torch that is installed is its build for a CPU: {how_to_install_torch(gpu)}"
    elif not _serves(gpu, found):
        return f"TensorRT for RTX makes no plans for {gpu}: pip install tensorrt"
    return found.too_old(kind, gpu)


def _lacks(kind: BackendKind, found: Installed, gpu: Gpu | None = None) -> str:
    """Return which packages are missing and how to install them (for a GPU); empty if all are there."""
    missing = found.missing(kind)
    if not missing:
        return ""
    lean = FULL in missing and found.present("tensorrt_lean")
    note = "; TensorRT's lean runtime is there, but it cannot build plans" if lean else ""
    verb = "is" if len(missing) == 1 else "are"
    return f"{' and '.join(missing)} {verb} not installed{note}: {_how_to_install(kind, gpu)}"


def _how_to_install(kind: BackendKind, gpu: Gpu | None) -> str:
    package = "torch" if kind is _TORCH_ON_GPU else "tensorrt"
    return (gpu and how_to_install_for(gpu, package)) or kind.install


def possible_backends(installed: Installed | None = None) -> tuple[PossibleBackend, ...]:
    """Return every back end, and whether it could run here, importing none.

    Parameters
    ----------
    installed : Installed or None
        What there is; found out when None.
    """
    found = installed or Installed()
    gpus = found.gpus()
    no_gpu = "" if gpus.gpus else gpus.why_none
    tensorrt, torch = no_gpu, no_gpu
    if gpus.gpus:
        served = next((gpu for gpu in gpus.gpus if _serves(gpu, found)), gpus.gpus[0])
        tensorrt = _why_not(BACKENDS["tensorrt"], served, found)
        torch = _why_not(_TORCH_ON_GPU, gpus.gpus[0], found)
    return (
        PossibleBackend("tensorrt", True, tensorrt),
        PossibleBackend("torch", True, torch),
        *(PossibleBackend(name, False, _lacks(BACKENDS[name], found)) for name in ("openvino", "torch")),
    )


def _automatic(settings: BackendSettings, found: Installed, engine: Engine | None) -> BackendChoice:
    note = ""
    if settings.device is None or _names_a_gpu(settings):
        choice, note = _on_gpu(settings, found, engine)
        if choice is not None:
            return choice
    for name in ("openvino", "torch"):
        kind = BACKENDS[name]
        if not _names_a_gpu(settings) and not found.missing(kind):
            package = kind.packages[0][0]
            return BackendChoice(kind, None, f"auto: {package} is the first that is installed{note}", False)
    if note:
        raise BackendError(f"no back end can run on {settings.device or 'this machine'}{note}")
    raise BackendError(
        f"no back end is installed: {'; or '.join(kind.install for kind in BACKENDS.values())}"
    )


def _on_gpu(
    settings: BackendSettings, found: Installed, engine: Engine | None
) -> tuple[BackendChoice | None, str]:
    """Return the back end for a GPU; else, if there is a GPU, why it is not used."""
    probed = found.gpus()
    if not probed.gpus:
        return None, f"; {probed.why_none}" if _names_a_gpu(settings) else ""
    gpu = gpu_at(probed.gpus, device_index(settings.device))
    kind = BACKENDS["tensorrt"]
    int8 = engine is not None and engine.manifest.precision == "int8"
    if settings.precision == "bf16":
        return None, f"; {gpu} is not used, as bf16 runs on a CPU alone"
    if engine is not None and int8 and not _quantised_for_tensorrt(engine):
        return None, f"; {gpu} is not used, as {engine.manifest.name} is quantised for a CPU"
    device = f"cuda:{gpu.index}"
    tensorrt = _why_not(kind, gpu, found)
    if not tensorrt:
        module = next(filter(found.present, (FULL, RTX)))
        return BackendChoice(kind, device, f"auto: {gpu} is there, and {module} is installed", True), ""
    torch = _why_not(_TORCH_ON_GPU, gpu, found)
    if not torch and not int8:
        return BackendChoice(
            _TORCH_ON_GPU, device, f"auto: {gpu} is there, and torch for CUDA is installed", True
        ), ""
    could = [tensorrt] if not found.missing(kind) else []
    if torch and not found.missing(_TORCH_ON_GPU) and found.torch_has_cuda():
        could.append(torch)
    return None, f"; {gpu} is not used: {'; '.join(could)}" if could else (
        f"; {gpu} is not used, for that {_how_to_install(kind, gpu)}"
    )


def _serves(gpu: Gpu, found: Installed) -> bool:
    capability = gpu.compute_capability
    return found.present(FULL) or (capability >= OLDEST_FOR_RTX and capability not in NOT_FOR_RTX)


def _quantised_for_tensorrt(engine: Engine) -> bool:
    """Read what an int8 engine is for in its report of parity; older ones, without a word of it, are for CPUs."""
    calibration = engine.manifest.metrics.get("parity", {}).get("calibration", {})
    return str(calibration.get("scheme", "")).endswith(FOR_TENSORRT)


def _names_a_gpu(settings: BackendSettings) -> bool:
    return settings.device is not None and settings.device.lower().startswith("cuda")


def _torch_has_cuda() -> bool:
    spec = find_spec("torch")
    folders = (
        [] if spec is None or spec.submodule_search_locations is None else spec.submodule_search_locations
    )
    return any(list(Path(folder, "lib").glob("*torch_cuda*")) for folder in folders)


def make_backend(engine: Engine, settings: BackendSettings, installed: Installed | None = None) -> Backend:
    """Make the back end that the settings ask for; it is not opened yet.

    Parameters
    ----------
    engine : Engine
        A checked engine.
    settings : BackendSettings
        What is asked for.
    installed : Installed or None
        What there is; found out when None.

    Raises
    ------
    BackendError
        As of `choose`.
    """
    chosen = choose(settings, installed, engine)
    if chosen.device is not None:
        settings = settings.model_copy(update={"device": chosen.device})
    kind = chosen.kind
    backend: Backend = getattr(import_module(kind.module), kind.attribute)(engine, settings, chosen.why)
    return backend


def engine_for(reference: str, settings: BackendSettings) -> Engine:
    """Load an engine for the back end that is going to run it.

    Parameters
    ----------
    reference : str
        As of `load_engine`; ``default`` is `DEFAULT_GPU_ENGINE` where it will run on a GPU.
    settings : BackendSettings
        What is asked for.

    Raises
    ------
    EngineError, BackendError
        As of `load_engine` and `choose`.
    """
    if reference == "default" and choose(settings).on_gpu:
        reference = DEFAULT_GPU_ENGINE
    return load_engine(reference)
