"""``rtface gate``: the safety gate between this computer and the light."""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Annotated

import typer
import yaml
from rich.table import Table

from rtface.cli.options import JsonOption, SecondsOption
from rtface.cli.terminal.screen import (
    ERR,
    OUT,
    plain_table,
    print_finding,
    print_json,
    print_line,
    print_note,
)
from rtface.cli.terminal.signals import ending_on_signals
from rtface.config import GateOutputSettings
from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK
from rtface.core.errors import DataError, GateError, UsageError
from rtface.core.outputs import OutputEvent, Report
from rtface.core.records import Pulse
from rtface.stimulate.gate.emulator import CYCLES_PER_MS, EmulatedGate, LightChange
from rtface.stimulate.gate.firmware import flash_command
from rtface.stimulate.gate.limits import MEANINGS, differences, fingerprint, propose
from rtface.stimulate.gate.output import GateOutput
from rtface.stimulate.gate.protocol import Limits

app = typer.Typer(help="The safety gate between this computer and the light.", no_args_is_help=True)

PortOption = Annotated[
    str, typer.Option("--port", help="The gate's serial port; best by /dev/serial/by-id/.")
]

ChangesOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE|FILE", help="A new limit, or a YAML file of them."),
]

_MARK = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[bold red]fail[/]"}
_FLASH_NS = 5 * NS_PER_MS
_WATCH_S = 0.05
_PATIENT_MS = 3000
"""A person can wait for longer than an experiment until a gate counts as lost."""
_ENDS = {OutputEvent.TRAIN_ENDED, OutputEvent.REFUSED, OutputEvent.TIMEOUT, OutputEvent.LOST}


@app.command()
def emulate(
    seconds: SecondsOption = None,
    resets_on_open: Annotated[
        bool, typer.Option(help="Reset when the port is opened, as an Arduino Uno does.")
    ] = False,
    link: Annotated[
        Path | None, typer.Option(help="Make this a link to the port, so that a rig's file can name it.")
    ] = None,
    changes: ChangesOption = None,
    signed_off_by: Annotated[str, typer.Option(help="Who answers for the limits.")] = "emulation",
    blank: Annotated[
        bool, typer.Option("--blank", help="As a new board: no limits are signed, and nothing can be armed.")
    ] = False,
) -> None:
    """Run the gate's firmware in emulation (simavr), print its port, and show its light until Ctrl-C.

    Turns the key, holds the button and signs the packaged limits first. Lines on standard input are the hand at the
    device: key on|off, button down|up, stop open|closed, power.
    """
    with ending_on_signals() as ending, EmulatedGate(resets_on_open=resets_on_open) as gate:
        pin = ""
        if not blank:
            signed = gate.sign(_requested(changes or []), signed_off_by)
            pin = f", limits: {fingerprint(signed)}"
            print_note(f"key turned, button held: limits signed off by {signed.signed_off_by}")
        with _linked(Path(gate.port), link) as port:
            print_line(f"port {port}")
            print_note(f"in a rig's file:  output: {{kind: gate, port: {port}{pin}}}")
            print_note("arm switch on, emergency stop released; Ctrl-C ends")
            end_ns = None if seconds is None else SYSTEM_CLOCK.now_ns() + round(seconds * NS_PER_S)
            typed, shown = _typed_lines(), 1
            while not ending.wait(_WATCH_S) and (end_ns is None or SYSTEM_CLOCK.now_ns() < end_ns):
                with suppress(Empty):
                    _act(gate, typed.get_nowait())
                lit = gate.light()
                for at in range(shown, len(lit)):
                    _show_light(lit[: at + 1])
                shown = max(shown, len(lit))


def _typed_lines() -> SimpleQueue[str]:
    """Return where lines of standard input come; a job in the background leaves its terminal alone."""
    lines: SimpleQueue[str] = SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            lines.put(line.strip())

    if not (sys.stdin.isatty() and _in_background()):
        threading.Thread(target=read, name="rtface-typed", daemon=True).start()
    return lines


def _in_background() -> bool:
    """Return whether the terminal belongs to another job."""
    if sys.platform == "win32":
        return False
    return os.tcgetpgrp(sys.stdin.fileno()) != os.getpgrp()


def _act(gate: EmulatedGate, line: str) -> None:
    """Do what a hand at the device does."""
    acts: dict[str, Callable[[], None]] = {
        "key on": lambda: gate.arm_switch(on=True),
        "key off": lambda: gate.arm_switch(on=False),
        "button down": lambda: gate.button(held=True),
        "button up": lambda: gate.button(held=False),
        "stop open": lambda: gate.stop_switch(open=True),
        "stop closed": lambda: gate.stop_switch(open=False),
        "power": gate.power_cycle,
    }
    if line in acts:
        acts[line]()
        print_note(line)
    elif line:
        print_note(f"{line!r} is none of: {', '.join(acts)}")


@contextmanager
def _linked(port: Path, link: Path | None) -> Iterator[Path]:
    """Give a port by the name that was asked for, while the block runs."""
    if link is None:
        yield port
        return
    if link.exists() and not link.is_symlink():
        raise UsageError(f"{link} is there and is no link")
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(port)
    except OSError as error:
        raise DataError(f"{link} cannot be made: {error.strerror}") from error
    try:
        yield link
    finally:
        link.unlink(missing_ok=True)


@app.command("test")
def self_test(
    port: PortOption,
    flash_light: Annotated[
        bool, typer.Option("--flash-light", help="Then arm, after a question, and fire one pulse of 5 ms.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check which gate it is, how fast it responds, its limits, and whether its switches allow arming.

    Exit code 9 when anything fails.
    """
    with _opened(port) as gate:
        checks = gate.self_test()
        if as_json:
            print_json([check.as_dict() for check in checks])
        else:
            for check in checks:
                print_finding(check.verdict, check.what, check.text, check.fix)
        if any(check.verdict == "fail" for check in checks):
            raise typer.Exit(GateError.exit_code)
        if flash_light:
            _flash_light(gate)


@app.command()
def limits(
    port: PortOption,
    changes: ChangesOption = None,
    signed_off_by: Annotated[str, typer.Option(help="Who answers for the new limits.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show the limits in force and their fingerprint; with --set change them, after a question and by a hand at the gate.

    They are kept in the gate's own memory, twice, and hold whatever computer it is plugged into.
    """
    requested = _requested(changes or [])
    with _opened(port) as gate:
        before = gate.limits
        assert before is not None
        if not requested:
            if as_json:
                print_json(_shown(before))
            else:
                OUT.print(_limits_table(_shown(before)))
                _say_pin(before)
            return
        proposal = propose(before, requested, signed_off_by)
        (ERR if as_json else OUT).print(_changes_table(differences(before, proposal)))
        _ask_for(
            "store", f"Store these limits in the gate at {port}, signed off by {proposal.signed_off_by}?"
        )
        after = gate.change_limits(proposal, _ask_for_a_hand)
        if as_json:
            print_json(_shown(after))
        else:
            print_line(f"stored, as change {after.counter}")
            _say_pin(after)


@app.command()
def flash(
    port: PortOption,
    programmer: Annotated[
        str, typer.Option(help="avrdude's name of what writes; arduino: the boot loader.")
    ] = "arduino",
    baud: Annotated[
        int, typer.Option(help="Bits per second of the boot loader; old Nanos have 57600.")
    ] = 115_200,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the command.")] = False,
) -> None:
    """Write the packaged firmware to an Arduino Uno or Nano with avrdude; stored limits stay.

    Switch the light source off first: while a board is flashed nothing drives its pins.
    """
    command = flash_command(port, programmer=programmer, baud=baud)
    print_line(shlex.join(command))
    if dry_run:
        return
    if shutil.which(command[0]) is None:
        raise GateError(
            "avrdude is not installed: apt-get install avrdude, or give the command above elsewhere"
        )
    done = subprocess.run(command)
    if done.returncode:
        raise GateError(f"avrdude failed (status {done.returncode}); the gate may have no firmware now")
    print_note("done; unplug the board, plug it in again, and see `rtface gate test`")


def _ask_for_a_hand() -> None:
    print_note(
        "now at the gate, whose LED blinks once a second: arm switch on, then hold the button until this goes on "
        "(within a minute)"
    )


def _shown(limits: Limits) -> dict[str, object]:
    return asdict(limits) | {"fingerprint": fingerprint(limits)}


def _say_pin(limits: Limits) -> None:
    if limits.signed_off_by:
        print_note(f"in a rig's file, under output:  limits: {fingerprint(limits)}")
    else:
        print_note("nobody has signed these: nothing can be armed; --set NAME=VALUE --signed-off-by NAME")


@contextmanager
def _opened(port: str) -> Iterator[GateOutput]:
    gate = GateOutput(
        GateOutputSettings(kind="gate", port=port, build="any", silence_ms=_PATIENT_MS, answer_ms=100),
        pinned=False,
    )
    try:
        gate.open()
        yield gate
    finally:
        gate.close()


def _ask_for(word: str, question: str) -> None:
    """Go on only when the word is typed in full."""
    typed = typer.prompt(f"{question} Type '{word}' to do it", default="", show_default=False, err=True)
    if typed.strip() != word:
        raise UsageError(f"nothing was done: {word!r} was not typed")


def _flash_light(gate: GateOutput) -> None:
    limits = gate.limits
    assert limits is not None
    on_ns = min(_FLASH_NS, limits.max_on_us * 1000)
    amplitude = max(1, limits.max_amplitude) / 255
    _ask_for(
        "flash",
        f"One pulse of {on_ns / NS_PER_MS:g} ms at {amplitude:.0%}: is nobody looking into the light?",
    )
    gate.alive()
    gate.arm()
    number = gate.fire(Pulse(on_ns, on_ns, 1, amplitude))
    seen: list[Report] = []
    while not {each.event for each in seen} & _ENDS:
        gate.alive()
        fresh = [each for each in gate.reports() if number == each.number or each.event is OutputEvent.LOST]
        for report in fresh:
            seen.append(report)
            print_line(_report_line(report, seen[0]))
        SYSTEM_CLOCK.sleep_until_ns(SYSTEM_CLOCK.now_ns() + NS_PER_MS)
    if not any(each.event is OutputEvent.LIGHT_ON for each in seen):
        raise GateError(f"the pulse was not fired: {seen[-1].event.value}, {seen[-1].reason.value}")


def _report_line(report: Report, first: Report) -> str:
    began_ns = first.details.get("handed_ns", first.t_ns)
    at_ms = (report.t_ns - began_ns) / NS_PER_MS
    host = (
        ""
        if report.host_ns is None
        else f", by the gate's clock {(report.host_ns - began_ns) / NS_PER_MS:.2f} ms"
    )
    reason = "" if report.reason.value == "none" else f" ({report.reason.value})"
    return f"{at_ms:8.2f} ms  {report.event.value}{reason}{host}"


def _show_light(changes: list[LightChange]) -> None:
    """Print what the newest change means; the amplitude of a pulse is known once it has ended."""
    *_, before, now = changes
    if before.ttl == now.ttl:
        return
    at_s = (now.t_ns - changes[0].t_ns) / NS_PER_S
    text = "light on"
    if not now.ttl:
        pulse = list(itertools.takewhile(lambda change: change.ttl, reversed(changes[:-1])))
        on_ms = (now.cycle - pulse[-1].cycle) / CYCLES_PER_MS
        text = f"light off after {on_ms:.2f} ms, amplitude {max(change.amplitude for change in pulse)}"
    print_line(f"{at_s:9.3f} s  {text}")


def _requested(changes: list[str]) -> dict[str, object]:
    requested: dict[str, object] = {}
    for change in changes:
        name, found, value = change.partition("=")
        requested |= {name.strip(): value.strip()} if found else _from_file(Path(change))
    return requested


def _from_file(path: Path) -> dict[str, object]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not YAML: {error}") from error
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise DataError(f"{path}: a file of limits is a map of names and whole numbers")
    return values


def _limits_table(values: dict[str, object]) -> Table:
    table = plain_table("limit", right=("in force",), last="")
    for name, value in values.items():
        table.add_row(name, str(value), MEANINGS.get(name, ""))
    return table


def _changes_table(changed: list[tuple[str, object, object]]) -> Table:
    table = plain_table("limit", right=("before", "after"), last="")
    for name, before, after in changed:
        table.add_row(name, str(before), str(after), MEANINGS.get(name, ""))
    return table
