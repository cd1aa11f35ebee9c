"""What the doctor finds, on computers that are made as trees of files."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.commandline import run
from support.documents import items

from rtface.core.check import Check
from rtface.live.doctor import examine, software
from rtface.live.doctor.devices import check_serial, check_video
from rtface.live.doctor.host import Host, this_host
from rtface.live.doctor.network import check_network
from rtface.live.doctor.processor import check_clock_source, check_governor, check_priority
from rtface.live.doctor.software import check_disk, check_gpus, check_packages, check_producers
from rtface.live.doctor.usb import check_usb
from rtface.track.gpu.libcuda import Probe

GIB = 2**30


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A computer that has nothing, whose user is in no group and may open no device."""
    return Host(
        tmp_path, "ada", frozenset({1000}), 0, lambda: False, lambda _: False, lambda _: 500 * GIB, {}
    )


def put(host: Host, files: dict[str, str | int]) -> None:
    for name, content in files.items():
        path = host.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n", encoding="utf-8")


def usable(host: Host) -> Host:
    return replace(host, may_use=lambda _: True)


def verdicts(found: list[Check]) -> list[tuple[str, str]]:
    return [(each.what, each.verdict) for each in found]


# USB

CAMERA = "/sys/bus/usb/devices/2-1"


def plug_usb3_vision(host: Host, speed: int = 5000) -> None:
    put(
        host,
        {
            f"{CAMERA}/idVendor": "2676",
            f"{CAMERA}/product": "acA640-750um",
            f"{CAMERA}/busnum": 2,
            f"{CAMERA}/devnum": 7,
            f"{CAMERA}/speed": speed,
            f"{CAMERA}:1.0/bInterfaceClass": "ef",
            f"{CAMERA}:1.0/bInterfaceSubClass": "05",
            "/dev/bus/usb/002/007": "",
            "/sys/module/usbcore/parameters/usbfs_memory_mb": 16,
        },
    )


def test_a_usb3_camera_that_may_not_be_opened_fails_with_a_rule_for_its_maker(host: Host) -> None:
    plug_usb3_vision(host)
    memory, camera = check_usb(host)
    assert (camera.verdict, camera.exit_code) == ("fail", 4)
    assert "acA640-750um cannot be opened by ada (/dev/bus/usb/002/007)" in camera.text
    assert 'ATTRS{idVendor}=="2676"' in camera.fix
    assert memory.verdict == "warn"
    assert "16 MB" in memory.text
    assert "echo 1000 | sudo tee /sys/module/usbcore/parameters/usbfs_memory_mb" in memory.fix


def test_one_that_a_rule_gave_to_a_group_is_for_who_joins_it(host: Host) -> None:
    plug_usb3_vision(host)
    node = host.path("/dev/bus/usb/002/007")
    if os.geteuid() == 0:
        os.chown(node, -1, 46)
    put(host, {"/etc/group": f"plugdev:x:{node.stat().st_gid}:"})
    _, camera = check_usb(host)
    assert camera.fix.startswith("sudo usermod -aG plugdev ada")


def test_one_that_may_be_opened_is_fine_and_its_memory_and_port_are_looked_at(host: Host) -> None:
    plug_usb3_vision(host, speed=480)
    put(host, {"/sys/module/usbcore/parameters/usbfs_memory_mb": 0})
    found = list(check_usb(usable(host)))
    assert verdicts(found) == [("USB memory", "ok"), ("USB cameras", "ok"), ("USB speed", "warn")]
    assert "480 Mbit/s" in found[2].text


def test_other_usb_devices_are_no_cameras_and_need_no_memory(host: Host) -> None:
    plug_usb3_vision(host)
    put(host, {f"{CAMERA}:1.0/bInterfaceSubClass": "02"})
    assert verdicts(list(check_usb(host))) == [("USB memory", "ok"), ("USB cameras", "ok")]


# Network


def plug_network(host: Host, name: str, mtu: int, speed: int = 1000, state: str = "up") -> None:
    folder = f"/sys/class/net/{name}"
    put(host, {f"{folder}/mtu": mtu, f"{folder}/speed": speed, f"{folder}/operstate": state})
    host.path(f"{folder}/device").mkdir()


def test_an_interface_of_a_camera_wants_large_packets_and_a_receive_buffer(host: Host) -> None:
    plug_network(host, "enp3s0", 1500)
    put(host, {"/proc/sys/net/core/rmem_max": 212992})
    interface, buffer = check_network(host)
    assert (interface.verdict, buffer.verdict) == ("warn", "warn")
    assert "sudo ip link set enp3s0 mtu 9000" in interface.fix
    assert "0.2 MiB" in buffer.text
    assert "net.core.rmem_max=10485760" in buffer.fix


def test_one_that_is_set_is_fine(host: Host) -> None:
    plug_network(host, "enp3s0", 9000)
    put(host, {"/proc/sys/net/core/rmem_max": 10485760, "/proc/sys/net/ipv4/conf/enp3s0/rp_filter": 2})
    assert [each.verdict for each in check_network(host)] == ["ok", "ok"]


def test_a_slow_port_and_a_strict_filter_are_said(host: Host) -> None:
    plug_network(host, "enp3s0", 9000, speed=100)
    put(host, {"/proc/sys/net/ipv4/conf/enp3s0/rp_filter": 1})
    interface = next(iter(check_network(host)))
    assert interface.verdict == "warn"
    assert "100 Mbit/s, reverse path filter strict" in interface.text
    assert "net.ipv4.conf.enp3s0.rp_filter=2" in interface.fix


def test_the_way_to_the_world_what_is_down_and_what_has_no_plug_are_left_alone(host: Host) -> None:
    plug_network(host, "eth0", 1500)
    plug_network(host, "enp3s0", 1500, state="down")
    put(host, {"/sys/class/net/lo/mtu": 65536, "/sys/class/net/lo/operstate": "unknown"})
    put(host, {"/proc/net/route": "Iface\tDestination\tGateway\neth0\t00000000\t0102A8C0"})
    put(host, {"/proc/sys/net/core/rmem_max": 212992})
    found = list(check_network(host))
    assert [each.verdict for each in found] == ["ok", "ok"]
    assert "up: eth0" in found[0].text


# Devices and groups


@pytest.mark.parametrize(
    ("check", "device", "group", "code"),
    [(check_serial, "/dev/ttyACM0", "dialout", 9), (check_video, "/dev/video0", "video", 4)],
)
def test_a_device_of_a_group_that_the_user_is_not_in(
    host: Host, check: Callable[[Host], list[Check]], device: str, group: str, code: int
) -> None:
    put(host, {device: "", "/etc/group": f"root:x:0:\n{group}:x:44:"})
    (found,) = check(host)
    assert (found.verdict, found.exit_code) == ("fail", code)
    assert f"{device} cannot be opened by ada" in found.text
    assert found.fix.startswith(f"sudo usermod -aG {group} ada")


def test_who_was_added_to_the_group_a_moment_ago_need_only_log_in_again(host: Host) -> None:
    put(host, {"/dev/ttyUSB0": "", "/etc/group": "dialout:x:20:ada"})
    (found,) = check_serial(host)
    assert found.fix.startswith("log out and in again")
    (found,) = check_serial(replace(host, gids=frozenset({20})))
    assert "look at the device's permissions" in found.fix


def test_the_group_is_the_one_that_owns_the_device(host: Host) -> None:
    put(host, {"/dev/ttyUSB0": ""})
    owner = host.path("/dev/ttyUSB0").stat().st_gid
    put(host, {"/etc/group": f"uucp:x:{owner}:" if owner else "dialout:x:20:"})
    (found,) = check_serial(host)
    assert f"usermod -aG {'uucp' if owner else 'dialout'} ada" in found.fix


def test_an_adapter_that_collects_bytes_is_said(host: Host) -> None:
    timer = "/sys/bus/usb-serial/devices/ttyUSB0/latency_timer"
    put(host, {"/dev/ttyUSB0": "", timer: 16})
    found = list(check_serial(usable(host)))
    assert verdicts(found) == [("serial", "ok"), ("serial", "warn")]
    assert found[1].fix == f"echo 1 | sudo tee {timer}"
    put(host, {timer: 1})
    assert verdicts(list(check_serial(usable(host)))) == [("serial", "ok")]


# Processor


def test_governors_are_all_to_be_performance(host: Host) -> None:
    assert check_governor(host).verdict == "ok"
    put(host, {f"/sys/devices/system/cpu/cpu{n}/cpufreq/scaling_governor": "performance" for n in (0, 1)})
    assert (check_governor(host).verdict, check_governor(host).text) == (
        "ok",
        "2 cores, governor performance",
    )
    put(host, {"/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "powersave"})
    assert check_governor(host).verdict == "warn"


def test_a_limit_on_real_time_is_needed_and_time_for_it(host: Host) -> None:
    found = check_priority(host)
    assert found.verdict == "warn"
    assert "'ada - rtprio 50'" in found.fix
    assert "--cap-add SYS_NICE" in check_priority(replace(host, rtprio=50)).fix
    let = replace(host, rtprio=50, goes_first=lambda: True)
    assert check_priority(let).verdict == "ok"
    put(host, {"/proc/sys/kernel/sched_rt_runtime_us": 0})
    assert "sched_rt_runtime_us" in check_priority(let).text


@pytest.mark.parametrize(
    ("source", "others", "verdict", "fix"),
    [
        ("tsc", "tsc hpet", "ok", ""),
        ("arch_sys_counter", "arch_sys_counter", "ok", ""),
        ("hpet", "hpet acpi_pm", "warn", "dmesg"),
        (
            "hpet",
            "tsc hpet",
            "warn",
            "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource",
        ),
    ],
)
def test_the_clock_is_to_be_the_processors_own(
    host: Host, source: str, others: str, verdict: str, fix: str
) -> None:
    folder = "/sys/devices/system/clocksource/clocksource0"
    put(host, {f"{folder}/current_clocksource": source, f"{folder}/available_clocksource": others})
    found = check_clock_source(host)
    assert found.verdict == verdict
    assert fix in found.fix


# Software and room


def test_a_gpu_that_is_plugged_in_and_has_no_driver_is_said(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(software, "probe", lambda: Probe((), "no driver"))
    assert (check_gpus(host).verdict, check_gpus(host).text) == ("ok", "no driver")
    put(
        host,
        {
            "/sys/bus/pci/devices/0000:01:00.0/vendor": "0x10de",
            "/sys/bus/pci/devices/0000:01:00.0/class": "0x040300",
        },
    )
    assert check_gpus(host).verdict == "ok", "its sound is no GPU"
    put(host, {"/sys/bus/pci/devices/0000:01:00.0/class": "0x030000"})
    assert (check_gpus(host).verdict, "0000:01:00.0" in check_gpus(host).text) == ("warn", True)


def test_producers_are_looked_for_where_the_variable_leads(host: Host, tmp_path: Path) -> None:
    def found(*folders: Path) -> Check:
        return check_producers(
            replace(host, environment={"GENICAM_GENTL64_PATH": os.pathsep.join(map(str, folders))})
        )

    assert "not set" in check_producers(host).text
    assert found(tmp_path).verdict == "warn"
    (tmp_path / "maker.cti").touch()
    assert (found(tmp_path).verdict, "maker.cti" in found(tmp_path).text) == ("ok", True)
    assert found(tmp_path, tmp_path / "gone").verdict == "warn"


def test_missing_packages_of_the_default_install_fail_and_those_of_extras_do_not() -> None:
    packages, extras = check_packages(
        [
            "numpy>=1",
            "no-such-thing>=2",
            'nor-this ; extra == "screen"',
            "numpy; extra == 'lab'",
            "gone; extra == 'test'",
        ]
    )
    assert (packages.verdict, packages.exit_code, packages.text) == ("fail", 1, "missing: no-such-thing")
    assert packages.fix == "pip install no-such-thing"
    assert (extras.verdict, extras.text) == ("ok", "there: lab; not there: screen (nor-this)")
    packages, _ = check_packages(["numpy"])
    assert packages.verdict == "ok"


@pytest.mark.parametrize(
    ("free", "verdict", "code"), [(500 * GIB, "ok", 0), (5 * GIB, "warn", 0), (GIB // 2, "fail", 8)]
)
def test_room_for_sessions(host: Host, tmp_path: Path, free: int, verdict: str, code: int) -> None:
    (found,) = check_disk(replace(host, free_bytes=lambda _: free), tmp_path)
    assert found.verdict == verdict
    assert not code or found.exit_code == code


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    found = next(iter(check_disk(this_host(), tmp_path / "gone")))
    assert (found.verdict, "gone" in found.text) == ("warn", True)


# All of it


def test_a_computer_that_tells_nothing_is_no_failure(host: Host, tmp_path: Path) -> None:
    found = list(examine(host, tmp_path))
    assert [each.text for each in found if each.verdict == "fail"] == []
    assert {"USB memory", "network", "video", "serial", "real time", "processor", "clock source"} <= {
        each.what for each in found
    }


def test_every_command_that_is_given_can_be_pasted(host: Host) -> None:
    plug_usb3_vision(host, 480)
    plug_network(host, "enp3s0", 1500, 100)
    put(host, {"/dev/ttyUSB0": "", "/dev/video0": "", "/proc/sys/net/core/rmem_max": 1})
    put(host, {"/sys/bus/usb-serial/devices/ttyUSB0/latency_timer": 16})
    fixes = [each.fix for each in examine(host) if each.verdict != "ok"]
    assert len(fixes) >= 9
    for fix in fixes:
        assert fix, "each that is not ok says what to do"
        for command in re.findall(r"(?:echo|sudo) [^;()]*", fix):
            shlex.split(command)


def test_the_command_prints_json_and_exits_with_the_first_failures_code() -> None:
    done = run("doctor", "--json")
    found = items(done.stdout)
    failed = [each["exit_code"] for each in found if each["verdict"] == "fail"]
    assert done.returncode == (failed[0] if failed else 0)
    assert {"what", "verdict", "text", "mend", "exit_code"} == set(found[0])
