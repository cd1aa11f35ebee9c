"""What a session was run with, in words: its network, its camera and how that did, its machine."""

from __future__ import annotations

from rtface.record.session.entries import (
    CameraEntry,
    CameraStatusEntry,
    ClockFitEntry,
    LossesEntry,
    NetworkEntry,
    VideoEntry,
)
from rtface.record.session.reader import Session


def facts_of(session: Session) -> dict[str, str]:
    """Return engine, back end, crop, camera and its clock, machine: what a session was run with, in words."""
    facts: dict[str, str] = {}
    network, camera, opened = session.last(NetworkEntry), session.last(CameraEntry), session.opened
    if network is not None:
        backend, crop = network.backend, network.crop
        facts["engine"] = network.engine
        facts["back end"] = " ".join(
            str(backend[name]) for name in ("name", "version", "precision", "device") if backend.get(name)
        )
        facts["crop"] = "{width}x{height} at {x}, {y}".format_map(crop)
    if camera is not None:
        info = camera.info
        rate = "" if info.get("rate_hz") is None else f", {info['rate_hz']:g} frames per second"
        facts["camera"] = (
            f"{info.get('kind')} {info.get('label')}, {info.get('width')}x{info.get('height')}{rate}"
        )
        if (trigger := info.get("trigger")) is not None:
            rate = "irregular" if trigger["rate_hz"] is None else f"{trigger['rate_hz']:g} per second"
            facts["trigger"] = f"{trigger['source']}, {rate}"
    if (losses := session.last(LossesEntry)) is not None and losses.missed_triggers is not None:
        facts["triggers missed"] = str(losses.missed_triggers)
    if said := _camera_problems(session):
        facts["camera problems"] = "; ".join(said)
    if (fit := session.last(ClockFitEntry)) is not None:
        facts[f"{fit.device} clock"] = f"{fit.slope * 1e6:+.1f} ppm against this computer's"
    if (video := session.last(VideoEntry)) is not None:
        facts["video"] = f"{video.file} ({video.codec})"
    if opened is not None:
        machine = opened.machine
        facts["machine"] = f"{machine.get('processor')}, {machine.get('system')}"
        facts["rtface"] = str(machine.get("rtface"))
    return facts


def _camera_problems(session: Session) -> tuple[str, ...]:
    """Return what did not hold of the camera at some time, each once."""
    said: dict[str, None] = {}
    for each in session.of(CameraStatusEntry):
        said |= dict.fromkeys(each.problems)
        if each.clock:
            said[f"exposures were times of arrival: {each.clock}"] = None
    return tuple(said)
