"""Whether a rig is ready: one finding a question, each with what to do about it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import zmq

from rtface.acquire.factory import make_camera
from rtface.acquire.stream import damaged_in_words
from rtface.acquire.timing.exposures import ExposureRate
from rtface.acquire.timing.trying import patience_s, some_frames
from rtface.config import Rig
from rtface.config.rigfile import load_rig
from rtface.core.check import Check
from rtface.core.clock import NS_PER_MS, NS_PER_S, NS_PER_US, SYSTEM_CLOCK, Clock
from rtface.core.errors import ConfigError, RtfaceError, UsageError
from rtface.core.extras import require
from rtface.core.geometry import check_crop, whole_frame
from rtface.core.latency import Histogram
from rtface.core.records import CameraInfo, Crop, FrameMeta, Keypoint
from rtface.live.answers import camera_in_words
from rtface.live.check_loop import check_loop
from rtface.live.doctor.processor import check_governor
from rtface.live.doctor.software import check_backends
from rtface.live.service import describe_backend
from rtface.publish.keys import Guard, load_server_keys
from rtface.publish.sockets import bound_socket
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
_CLOCK_READS = 1000
_RATE_TOLERANCE = 0.02


def check_rig(path: Path, clock: Clock = SYSTEM_CLOCK) -> Iterator[Check]:
    """Check a rig's configuration, camera, engine, encoder, rules, output, record, ports, clock and processor.

    Parameters
    ----------
    path : Path
        The rig's YAML file.
    clock : Clock
        Source of time.

    Yields
    ------
    Check
        One after another, as they are found; a failure does not end the checks that do not need it.
    """
    try:
        rig = load_rig(path)
    except RtfaceError as error:
        yield Check("configuration", "fail", str(error), exit_code=error.exit_code)
        return
    yield Check("configuration", "ok", f"{path} is well formed")
    rig, finding = _face(rig)
    if finding is not None:
        yield finding
    info: CameraInfo | None = None
    for question in (_camera, _rate):
        finding, info = question(rig, info, clock)
        yield finding
        if finding.verdict == "fail":
            break
    yield check_backends()
    yield from _engine(rig, info, clock)
    yield from check_loop(rig, _skeleton(rig), info, clock)
    yield _guarded("ports", lambda: _ports(rig))
    if rig.publish.bridges:
        yield _guarded("bridges", lambda: _bridges(rig))
    yield _clock(clock)
    yield check_governor()


def _guarded(what: str, question: Callable[[], Check]) -> Check:
    try:
        return question()
    except RtfaceError as error:
        return Check(what, "fail", str(error), exit_code=error.exit_code)


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


def _bridges(rig: Rig) -> Check:
    """See that what bridges need is installed; their addresses are among the ports."""
    kinds = [each.kind for each in rig.publish.bridges]
    if "lsl" in kinds:
        require("lsl", "pylsl", error=UsageError)
    return Check("bridges", "ok", f"{', '.join(kinds)}: each in a process of its own")


def _ports(rig: Rig) -> Check:
    """Bind all addresses and let them go."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    guard = None
    try:
        if rig.publish.keys is not None:
            guard = Guard(context, load_server_keys(rig.publish.keys))
            guard.open()
        bound, publish = [], rig.publish
        for setting, asked in publish.addresses.items():
            kind = zmq.ROUTER if setting == ("control",) else zmq.XPUB
            socket, address = bound_socket(context, kind, asked, ".".join(("publish", *setting)), 1, guard)
            socket.close(0)
            bound.append(address)
    finally:
        if guard is not None:
            guard.close()
        context.destroy(0)
    return Check("ports", "ok", " and ".join(bound) + " are free")


def _clock(clock: Clock) -> Check:
    """Measure the clock's step and what one reading costs."""
    reads = [clock.now_ns() for _ in range(_CLOCK_READS)]
    steps = [after - before for before, after in itertools.pairwise(reads) if after > before]
    if not steps:
        return Check("clock", "fail", "the monotonic clock does not move")
    text = f"monotonic, smallest step {min(steps)} ns"
    if min(steps) > 100 * NS_PER_US:
        return Check("clock", "warn", text, "latencies below that cannot be told apart on this machine")
    return Check("clock", "ok", text)
