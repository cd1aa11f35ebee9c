"""``rtface loop``: arm, disarm and stop a running service, mark its session, follow what it decides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from rtface.cli.opening import me
from rtface.cli.options import JsonOption, SecondsOption
from rtface.cli.terminal.screen import OUT, latency_table, print_finding, print_json, print_line
from rtface.cli.terminal.signals import ending_on_signals
from rtface.client import Client, EventMessage
from rtface.core.clock import NS_PER_MS, NS_PER_S, monotonic_ns
from rtface.core.defaults import LOOPBACK_CONTROL, LOOPBACK_KEYPOINTS
from rtface.core.errors import UsageError
from rtface.core.latency import StageSummary

app = typer.Typer(help="The closed loop of a running service.", no_args_is_help=True)

ControlOption = Annotated[str, typer.Option("--control", help="Where the service takes commands.")]
AddressOption = Annotated[str, typer.Option("--address", help="Where the service publishes.")]
KeysOption = Annotated[Path | None, typer.Option("--keys", help="Folder of this client's keys.")]
WhoOption = Annotated[
    str | None, typer.Option("--as", help="Who you are, for the record; else user@computer.")
]

_ANSWER_S = 15.0
_POLL_S = 0.2
_STYLE = {
    "armed": "bold red",
    "disarmed": "green",
    "stopped": "bold yellow",
    "fault": "bold yellow",
}


@app.command()
def status(
    control: ControlOption = LOOPBACK_CONTROL, keys: KeysOption = None, as_json: JsonOption = False
) -> None:
    """Show how the loop stands: armed or not and by whom, each rule, what was decided, and how fast."""
    with _client(control, keys) as client:
        loop = client.status().loop
    if as_json:
        print_json(loop or {})
    elif not loop:
        raise UsageError(
            "this service decides nothing: its rig's file has neither rules: nor output: nor session:"
        )
    else:
        OUT.print(loop_view(loop))


@app.command("test")
def self_test(
    control: ControlOption = LOOPBACK_CONTROL, keys: KeysOption = None, as_json: JsonOption = False
) -> None:
    """Run the self-test that arming runs first; the light stays off. Exit code 1 when anything prevents arming."""
    with _client(control, keys) as client:
        result = client.self_test()
    if as_json:
        print_json(result)
    else:
        _print_findings(result["findings"])
    if not result["ready"]:
        raise typer.Exit(1)


@app.command()
def arm(
    control: ControlOption = LOOPBACK_CONTROL,
    keys: KeysOption = None,
    who: WhoOption = None,
    as_json: JsonOption = False,
) -> None:
    """Allow light, if nothing in the self-test prevents it."""
    with _client(control, keys) as client:
        result = client.arm(who or me())
    if as_json:
        print_json(result)
        return
    _print_findings(result["findings"])
    OUT.print("[bold red]armed[/]; `rtface loop disarm` ends it")


@app.command()
def disarm(
    why: Annotated[str, typer.Argument(help="The reason, for the record.")] = "",
    control: ControlOption = LOOPBACK_CONTROL,
    keys: KeysOption = None,
    who: WhoOption = None,
) -> None:
    """Light off, and no more of it until somebody arms again."""
    with _client(control, keys) as client:
        client.disarm(who or me(), why)
    OUT.print("disarmed")


@app.command()
def stop(control: ControlOption = LOOPBACK_CONTROL, keys: KeysOption = None, who: WhoOption = None) -> None:
    """Emergency stop: light off, latched until `rtface loop clear`."""
    with _client(control, keys) as client:
        client.emergency_stop(who or me())
    OUT.print("stopped; `rtface loop clear` ends it")


@app.command()
def clear(control: ControlOption = LOOPBACK_CONTROL, keys: KeysOption = None, who: WhoOption = None) -> None:
    """End an emergency stop or a fault that you have seen to; it arms nothing."""
    with _client(control, keys) as client:
        client.clear(who or me())
    OUT.print("cleared, disarmed")


@app.command()
def baseline(
    control: ControlOption = LOOPBACK_CONTROL, keys: KeysOption = None, who: WhoOption = None
) -> None:
    """Take the baseline that thresholds rest on anew, while disarmed; nobody can arm before it is complete."""
    with _client(control, keys) as client:
        missing_s = client.baseline(who or me())["baseline"]["missing_s"]
    OUT.print(f"the baseline is taken anew: {missing_s:g} s")


@app.command()
def mark(
    text: Annotated[str, typer.Argument(help="The remark.")],
    control: ControlOption = LOOPBACK_CONTROL,
    keys: KeysOption = None,
    who: WhoOption = None,
) -> None:
    """Put a remark into the session's record."""
    with _client(control, keys) as client:
        client.mark(who or me(), text)


@app.command()
def events(
    address: AddressOption = LOOPBACK_KEYPOINTS,
    control: ControlOption = LOOPBACK_CONTROL,
    keys: KeysOption = None,
    seconds: SecondsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Follow decisions, light, arming, marks and faults as they happen, until Ctrl-C."""
    end_ns = None if seconds is None else monotonic_ns() + round(seconds * NS_PER_S)
    with ending_on_signals() as ending, Client(address, control, keys=keys) as client:
        while not ending.is_set() and (end_ns is None or monotonic_ns() < end_ns):
            event = client.next_event(_POLL_S)
            if event is None:
                continue
            if as_json:
                print_json({"t_ns": event.t_ns, "kind": event.kind, **event.details})
            else:
                print_line(f"{event.t_ns / NS_PER_S:14.3f}  {event.kind:8}  {in_words(event)}")


def loop_view(loop: Mapping[str, Any]) -> Table:
    """Return how the loop stands, as a table for the screen."""
    table = Table.grid(padding=(0, 2))
    by = f" ({loop['who']})" if loop["who"] else ""
    table.add_row(
        "loop", Text(loop["state"], style=_STYLE.get(loop["state"], "")) + Text(f": {loop['why']}{by}")
    )
    table.add_row("output", f"{loop['output']}, {loop['lights']} lights")
    for number, (name, state) in enumerate(loop["rules"].items()):
        table.add_row("" if number else "rules", _rule_view(name, state, loop.get("seen", {}).get(name)))
    for number, line in enumerate(_baseline_view(loop.get("baseline") or {})):
        table.add_row("" if number else "baseline", line)
    counts = {name: count for name, count in loop["counts"].items() if name != "none"}
    table.add_row("decided", ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing yet")
    if loop["session"]:
        table.add_row("record", loop["session"])
    stages = {stage: StageSummary(**summary) for stage, summary in loop["latency"].items() if summary["n"]}
    if stages:
        table.add_row("", latency_table(stages))
    return table


def _rule_view(name: str, state: str, seen: Mapping[str, Any] | None) -> str:
    """Return where a rule stands, why, and what its condition rests on, as one line."""
    if seen is None:
        return f"{name} {state}"
    withheld = f" ({seen['withheld']})" if seen["withheld"] else ""
    values = (f"{each} {'?' if value is None else f'{value:.3g}'}" for each, value in seen["values"].items())
    condition = f": {seen['when']}; now {', '.join(values)}" if seen["when"] else ""
    return f"{name} {state}{withheld}{condition}"


def _baseline_view(baseline: Mapping[str, Any]) -> Iterator[str]:
    """Yield what thresholds rest on, each with its number, as lines."""
    if not baseline:
        return
    if not baseline["complete"]:
        yield f"{baseline['missing_s']:.0f} s are missing; nobody can arm before"
        return
    yield from baseline["problems"]
    for name, each in baseline["values"].items():
        if each["mean"] is not None:
            sd = "?" if each["sd"] is None else f"{each['sd']:.3g}"
            yield f"{name} {each['mean']:.4g}, sd {sd} (n = {each['frames']})"
    for text, limit in baseline["limits"].items():
        yield f"{text}: {'?' if limit is None else f'{limit:.4g}'}"


def in_words(event: EventMessage) -> str:
    """Return an event as one line."""
    details = event.details
    match event.kind:
        case "decision":
            values = ", ".join(f"{name} {value:.3g}" for name, value, _, _ in details["inputs"])
            frame = "" if details["frame_id"] is None else f" on frame {details['frame_id']}"
            return f"{details['rule']}: {details['action']} ({details['reason']}){frame} {values}".rstrip()
        case "light":
            host_ns = details.get("host_ns")
            late = (
                ""
                if host_ns is None
                else f", reported {(details['t_ns'] - host_ns) / NS_PER_MS:.1f} ms after"
            )
            return f"{details['rule']}: {details['event']} ({details['reason']}){late}"
        case "arming":
            return f"{details['event']} by {details['who']}: {details['why']}"
        case "mark":
            return f"{details['who']}: {details['text']}"
        case _:
            return ", ".join(f"{name} {value}" for name, value in details.items())


@contextmanager
def _client(control: str, keys: Path | None) -> Iterator[Client]:
    with Client(control=control, keys=keys, timeout_s=_ANSWER_S) as client:
        yield client


def _print_findings(findings: list[dict[str, str]]) -> None:
    for found in findings:
        print_finding(found["verdict"], found["what"], found["text"], found["mend"])
