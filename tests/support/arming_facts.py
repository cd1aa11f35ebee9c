"""What the self-test looks at, on a rig that is well."""

from __future__ import annotations

from rtface.config import GateOutputSettings
from rtface.core.check import Check
from rtface.core.clock import NS_PER_MS
from rtface.core.outputs import OutputInfo
from rtface.core.records import Pulse
from rtface.live.selftest import Circumstances
from support.manual_loop import CAMERA, status

GATE = OutputInfo(
    "gate", "gate 1", True, True, limits={"max_on_us": 20_000, "min_off_us": 10_000, "max_amplitude": 255}
)
PULSE = Pulse(5 * NS_PER_MS, 5 * NS_PER_MS, 1, 1.0)
WELL = Circumstances(
    camera=CAMERA,
    status=status(),
    parity=lambda: "agrees",
    output=GATE,
    output_checks=lambda: [Check("gate", "ok", "answers")],
    settings=GateOutputSettings(kind="gate", port="p"),
    pulses={"right": PULSE},
    budget=None,
    session="sessions/1",
    disk_fault="",
)
