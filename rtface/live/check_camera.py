"""Whether a camera and the engine that looks at it are ready: one finding a question, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from rtface.acquire.factory import make_camera
from rtface.acquire.stream import damaged_in_words
from rtface.acquire.timing.exposures import ExposureRate
from rtface.acquire.timing.trying import patience_s, some_frames
from rtface.config import Rig
from rtface.core.check import Check
from rtface.core.clock import NS_PER_MS, NS_PER_S, Clock
from rtface.core.errors import ConfigError, RtfaceError, UsageError
from rtface.core.geometry import check_crop, whole_frame
from rtface.core.latency import Histogram
from rtface.core.records import CameraInfo, Crop, FrameMeta, Keypoint
from rtface.live.answers import camera_in_words
from rtface.live.served import describe_backend
from rtface.track.backends.base import BackendInfo
from rtface.track.backends.factory import engine_for, make_backend
from rtface.track.gpu.clocks import check_clocks
from rtface.track.gpu.libcuda import probe
from rtface.track.parity import find_parity, records_of, verify_command
from rtface.track.recheck import Recheck
from rtface.track.rigcrop import with_crop
from rtface.track.store import Engine
from rtface.track.tracker import Tracker
from rtface.track.view import read_view, view_in_words

_FRAMES = 30
_NETWORK_RUNS = 50
_RATE_TOLERANCE = 0.02


class CameraChecks:
    """The questions about one camera; `camera` before `engine`.

    Parameters
    ----------
    rig : Rig
        Of that camera alone.
    clock : Clock

    Attributes
    ----------
    info : CameraInfo or None
        The camera; None where it could not be opened.
    """

    def __init__(self, rig: Rig, clock: Clock) -> None:
        self._rig, self._clock = rig, clock
        self.info: CameraInfo | None = None

    @property
    def skeleton(self) -> tuple[Keypoint, ...] | None:
        """The engine's; None where it could not be had."""
        return _skeleton(self._rig)

    def camera(self) -> Iterator[Check]:
        """Find the face where that is asked for, open the camera and take some frames."""
        self._rig, finding = _face(self._rig)
        if finding is not None:
            yield finding
        for question in (_camera, _rate):
            finding, self.info = question(self._rig, self.info, self._clock)
            yield finding
            if finding.verdict == "fail":
                break

    def engine(self) -> Iterator[Check]:
        """Open the engine and run it; say what it was run by and whether that agrees with the reference."""
        return _engine(self._rig, self.info, self._clock)


def _face(rig: Rig) -> tuple[Rig, Check | None]:
    """Find the face where the crop is `auto`; where that fails, the rest is asked of the whole frame."""
    if rig.crop != "auto":
        return rig, None
    try:
        settled, found = with_crop(rig, engine_for(rig.engine, rig.backend))
    except RtfaceError as error:
        return rig.model_copy(update={"crop": None}), Check(
            "face", "fail", str(error), exit_code=error.exit_code
        )
    return settled, Check("face", "ok", "" if found is None else found.in_words())


def _camera(rig: Rig, _: CameraInfo | None, clock: Clock) -> tuple[Check, CameraInfo | None]:
    """Open the camera: every setting is read back by the driver itself."""
    camera = make_camera(rig.camera, clock)
    try:
        info = camera.open()
        crop = rig.fixed_crop
        check_crop(crop or whole_frame(info.width, info.height), info.width, info.height)
    except UsageError as error:  # the crop reaches beyond the frame
        return Check("camera", "fail", str(error), exit_code=ConfigError.exit_code), None
    except RtfaceError as error:
        return Check("camera", "fail", str(error), exit_code=error.exit_code), None
    finally:
        camera.close()
    text = camera_in_words(info)
    if info.exposure_source == "arrival":
        return Check(
            "camera",
            "warn",
            f"{text}; it has no time stamps of its own",
            "latency is counted from arrival in this computer, not from exposure",
        ), info
    return Check("camera", "ok", text), info


def _rate(rig: Rig, info: CameraInfo | None, clock: Clock) -> tuple[Check, CameraInfo | None]:
    """Take some frames and compare their rate and their numbers with what the camera promised."""
    camera = make_camera(rig.camera, clock)
    try:
        opened = camera.open()
        metas = some_frames(camera, opened, _FRAMES, clock)
        arrivals = [meta.arrival_ns for meta in metas]
        status = camera.status
        lost = camera.lost_at_camera + camera.lost_in_transport
        damaged, known = camera.lost_at_camera, camera.transport_known
    except RtfaceError as error:
        return Check("frames", "fail", str(error), exit_code=error.exit_code), info
    finally:
        camera.close()
    if len(arrivals) < 2:
        return _too_few(opened, len(arrivals), damaged), info
    measured = (len(arrivals) - 1) * NS_PER_S / max(1, arrivals[-1] - arrivals[0])
    text = f"{len(arrivals)} frames at {measured:.1f} per second, {lost} lost"
    if not known:
        text += " that it tells of; its frames have no numbers that show gaps"
    if status.missed_triggers is not None:
        text += f"; {status.missed_triggers} triggers missed"
    if status.problems:
        text = "; ".join((text, *status.problems))
        return Check("frames", "warn", text, "nothing is armed while a setting does not hold"), info
    if status.clock:
        return Check(
            "frames",
            "warn",
            f"{text}; exposures are times of arrival: {status.clock}",
            "see to the camera's clock",
        ), info
    if lost:
        return Check(
            "frames", "warn", text, "frames are lost before they reach rtface: cable, load, rate"
        ), info
    if opened.trigger is not None:
        return _triggered(opened, metas, text), info
    if opened.live and opened.rate_hz and abs(measured / opened.rate_hz - 1) > _RATE_TOLERANCE:
        return Check(
            "frames",
            "warn",
            f"{text}, but the camera says {opened.rate_hz:g}",
            "exposure too long for the rate?"
            if measured < opened.rate_hz
            else "set the rate that the camera has",
        ), info
    return Check("frames", "ok", text), info


def _too_few(info: CameraInfo, came: int, damaged: int) -> Check:
    text = f"{came} frames came within {patience_s(info):g} s"
    if damaged:
        return Check("frames", "fail", text, damaged_in_words(damaged), exit_code=4)
    if info.trigger is None:
        return Check(
            "frames",
            "fail",
            text,
            "is the camera waiting for a trigger? Then say so: camera.trigger",
            exit_code=4,
        )
    return Check(
        "frames",
        "warn",
        f"{text}: the camera waits for triggers on {info.trigger.source}",
        "give triggers while rtface check runs, to see them come",
    )


def _triggered(info: CameraInfo, metas: Sequence[FrameMeta], text: str) -> Check:
    rate = ExposureRate()
    rate.begin(info)
    for meta in metas:
        rate.add(meta.frame_id, meta.exposure_ns)
    rate.tick()
    if rate.problem:
        return Check(
            "frames", "warn", f"{text}; {rate.problem}", "set camera.trigger.rate_hz to what is given"
        )
    return Check("frames", "ok", f"{text}, triggered")


def _engine(rig: Rig, info: CameraInfo | None, clock: Clock) -> Iterator[Check]:
    """Open the engine and run it; say what it was run by and whether that agrees with the reference."""
    try:
        engine = engine_for(rig.engine, rig.backend)
        finding, ran, again = _speed(engine, rig, info, clock)
    except RtfaceError as error:
        yield Check("engine", "fail", str(error), exit_code=error.exit_code)
        return
    yield finding
    yield _parity(engine, ran, rig.fixed_crop, again)
    yield _view(engine)
    yield from (check_clocks(gpu) for gpu in probe().gpus if str(gpu) == ran.device)


def _skeleton(rig: Rig) -> tuple[Keypoint, ...] | None:
    try:
        return engine_for(rig.engine, rig.backend).manifest.skeleton
    except RtfaceError:  # told by the question after the engine
        return None


def _parity(engine: Engine, ran: BackendInfo, crop: Crop | None, again: Recheck) -> Check:
    """Look for the proof, which arming will ask for, that the engine does what its reference does."""
    sought = find_parity(engine, ran)
    if sought.record is None:
        return Check(
            "parity",
            "warn" if records_of(engine.sha256) else "ok",
            f"{sought.why_none}: nothing can be armed with it",
            f"before you arm: {verify_command(engine, ran, crop)}",
        )
    record = sought.record
    text = f"{record.reference.engine} in {record.reference.ran.precision}, {record.date[:10]}: {record.in_words()}"
    if not record.agrees:
        return Check("parity", "warn", f"does not agree with {text}", "another engine, precision or back end")
    if not again.agrees:
        return Check("parity", "warn", f"{again.text}: nothing can be armed with it")
    return Check("parity", "ok", "; ".join(filter(None, (f"agrees with {text}", again.text))))


def _view(engine: Engine) -> Check:
    """Say whether the engine can tell a view that it knows."""
    view = read_view(engine)
    if view is None:
        return Check(
            "view",
            "warn",
            f"{engine.manifest.name}: {view_in_words(view)}",
            f"rtface engines view {engine.manifest.name} --frames FRAMES",
        )
    return Check("view", "ok", f"{engine.manifest.name}: {view_in_words(view)}")


def _speed(
    engine: Engine, rig: Rig, info: CameraInfo | None, clock: Clock
) -> tuple[Check, BackendInfo, Recheck]:
    """Run an engine on frames of the camera's size and hold it against the frame period."""
    tracker = Tracker(engine, make_backend(engine, rig.backend), clock)
    network = Histogram()
    try:
        tracker.open()
        if info is not None:
            tracker.prepare((info.height, info.width), rig.fixed_crop)
            frame = np.random.default_rng(0).integers(0, 256, (info.height, info.width), dtype=np.uint8)
            for number in range(_NETWORK_RUNS):
                began_ns = clock.now_ns()
                tracker.track(frame, FrameMeta(number, began_ns, began_ns), began_ns)
                network.add(clock.now_ns() - began_ns)
        ran, again = tracker.backend, tracker.recheck
    finally:
        tracker.close()
    text = f"{engine.manifest.name}, {describe_backend(ran)}; {ran.why}"
    if info is None:
        return Check("engine", "ok", text), ran, again
    took = network.summary()
    text += f"; frame to keypoints p50 {took.p50_ms:.2f}, max {took.max_ms:.2f} ms (n = {took.n})"
    period_ms = NS_PER_S / NS_PER_MS / info.rate_hz if info.live and info.rate_hz else None
    if period_ms is not None and took.p50_ms > period_ms:
        return (
            Check(
                "engine",
                "warn",
                f"{text}, slower than the camera's {period_ms:.2f} ms a frame",
                "frames will be dropped and counted: a smaller crop or network, a faster back end, or a lower rate",
            ),
            ran,
            again,
        )
    if took.p50_ms > rig.latency.deadline_ms:
        return (
            Check("engine", "warn", f"{text}, over the deadline", "raise latency.deadline_ms or go faster"),
            ran,
            again,
        )
    return Check("engine", "ok", text), ran, again
