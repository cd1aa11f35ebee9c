"""Whether what several cameras share is ready: cores, rules over all, output, record and the room for their video."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rtface.config.multi import MultiRig
from rtface.core.check import Check
from rtface.core.clock import Clock
from rtface.core.errors import RtfaceError
from rtface.core.records import CameraInfo, Keypoint
from rtface.decide.description import describe_baseline
from rtface.decide.multi import RuleCamera
from rtface.live.check_loop import check_act_and_record
from rtface.live.multi.cores import own_cores, shared_out
from rtface.live.rulesfile import Rules
from rtface.record.session.cameras.forecast import VideoForecast

Known = tuple[tuple[Keypoint, ...] | None, CameraInfo | None]
"""Of a camera its engine's keypoints and what it is; None where that could not be had."""


def check_cores(rig: MultiRig) -> Check:
    """Say which cores each tracking process gets; warn where there are fewer than cameras."""
    cores = own_cores()
    asked = {name: each.cores for name, each in rig.cameras.items()}
    shares = shared_out(list(rig.cameras), asked, cores)
    if not cores:
        return Check("cores", "ok", "this system does not bind processes to cores")
    absent = {core for share in shares.values() for core in share} - set(cores)
    text = "; ".join(f"{name} {','.join(map(str, share))}" for name, share in shares.items())
    if absent:
        return Check("cores", "warn", f"{text}; there is no core {min(absent)} here", "cameras.NAME.cores")
    if len(cores) <= len(rig.cameras):
        return Check(
            "cores",
            "warn",
            f"{text}: {len(cores)} cores for {len(rig.cameras)} cameras and the process that decides",
            "frames will wait and be dropped; fewer cameras, lower rates, smaller networks, or a GPU",
        )
    return Check("cores", "ok", text)


def check_multi_loop(rig: MultiRig, cameras: Mapping[str, Known], clock: Clock) -> Iterator[Check]:
    """Check what a rig decides by, acts through and records into.

    Parameters
    ----------
    rig : MultiRig
    cameras : mapping of str to (tuple of Keypoint or None, CameraInfo or None)
        By the camera's name.
    clock : Clock

    Yields
    ------
    Check
        One after another, as they are found.
    """
    if rig.rules is not None:
        yield _rules(rig, cameras)
    yield from check_act_and_record(rig, clock)
    if rig.session is not None and rig.session.frames != "none":
        infos = {name: info for name, (_, info) in cameras.items() if info is not None}
        yield _video(rig, infos)


def _rules(rig: MultiRig, cameras: Mapping[str, Known]) -> Check:
    assert rig.rules is not None
    try:
        rules = Rules(rig.rules)
        names = ", ".join(rules.spec.rules) or "no rules"
        text = f"{rig.rules.name}: {names}"
        of_rules = []
        for name, (skeleton, info) in cameras.items():
            if skeleton is None or info is None:
                return Check("rules", "warn", f"{text}; not held against camera {name}, which is not there")
            points = tuple(point.name for point in skeleton)
            of_rules.append(RuleCamera(name, points, info.rate_hz, (info.width, info.height)))
        evaluator = rules.multi_evaluator(of_rules)
    except RtfaceError as error:
        return Check("rules", "fail", str(error), exit_code=error.exit_code)
    if baseline := describe_baseline(rules.spec.baseline, evaluator.baselines.names):
        text += f"; {baseline}"
    needs = "; ".join(
        f"{rule} needs {' and '.join(sorted(needed)) or 'no camera'}"
        for rule, needed in evaluator.needs.items()
    )
    return Check("rules", "ok", f"{text}; {needs}" if needs else text)


def _video(rig: MultiRig, cameras: Mapping[str, CameraInfo]) -> Check:
    """Say how much video there will be, and for how long there is room."""
    settings = rig.session
    assert settings is not None
    forecast = VideoForecast.room_in(settings, cameras)
    if forecast is None:
        return Check("video", "warn", f"{settings.folder}: its room is not known")
    text = forecast.in_words(settings.frames)
    if forecast.short:
        return Check(
            "video", "warn", text, "make room, or record fewer or smaller frames: session.frames, ROI, rate"
        )
    return Check("video", "ok", text)
