"""Processor and scheduler: does it clock down between frames, may threads go first, which clock tells the time."""

from __future__ import annotations

import os

from rtface.core.check import Check
from rtface.live.doctor.host import Host, this_host

_SLOW_SOURCES = ("hpet", "acpi_pm", "jiffies", "refined-jiffies", "pit")
"""Clock sources whose reading takes microseconds, or which tick coarsely."""
_LIMITS = "/etc/security/limits.d/60-rtface.conf"


def check_governor(host: Host | None = None) -> Check:
    """Look at the frequency governor, which slows an idle core down just before the next frame."""
    host = host or this_host()
    files = host.find("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
    governors = {text for file in files if (text := host.text(file))}
    cores = len(host.find("/sys/devices/system/cpu/cpu[0-9]*")) or os.cpu_count() or 1
    if not governors:
        return Check("processor", "ok", f"{cores} cores; no frequency governor to be seen (virtual machine?)")
    text = f"{cores} cores, governor {', '.join(sorted(governors))}"
    if governors == {"performance"}:
        return Check("processor", "ok", text)
    return Check(
        "processor", "warn", text, "for steady latency: sudo cpupower frequency-set --governor performance"
    )


def check_priority(host: Host) -> Check:
    """Look at whether threads may run before all ordinary ones, which the gate's heartbeats and the camera use."""
    if host.number("/proc/sys/kernel/sched_rt_runtime_us") == 0:
        return Check(
            "real time",
            "warn",
            "the kernel gives real-time threads no time at all (sched_rt_runtime_us is 0)",
            "sudo sysctl -w kernel.sched_rt_runtime_us=950000",
        )
    if host.goes_first():
        return Check("real time", "ok", "a thread that asks for it runs before ordinary ones")
    return Check(
        "real time",
        "warn",
        f"no thread of {host.user} can run before ordinary ones (ulimit -r: {host.rtprio}): other programs delay heartbeats "
        "and frames",
        "the limit is there and the kernel refuses: in a container, docker run --cap-add SYS_NICE --ulimit rtprio=50"
        if host.rtprio
        else f"echo '{host.user} - rtprio 50' | sudo tee {_LIMITS}, then log out and in again",
    )


def check_clock_source(host: Host) -> Check:
    """Look at which hardware the kernel tells the time by."""
    folder = host.path("/sys/devices/system/clocksource/clocksource0")
    source = host.text(folder / "current_clocksource")
    if not source:
        return Check("clock source", "ok", "cannot be read here")
    if source not in _SLOW_SOURCES:
        return Check("clock source", "ok", source)
    others = host.text(folder / "available_clocksource").split()
    better = [each for each in others if each not in _SLOW_SOURCES]
    return Check(
        "clock source",
        "warn",
        f"{source}: each reading of the clock is slow, or coarse",
        f"echo {better[0]} | sudo tee {host.name(folder / 'current_clocksource')}"
        if better
        else "the kernel gave the processor's own clock up: dmesg | grep -i -e tsc -e clocksource says why (often the BIOS)",
    )
