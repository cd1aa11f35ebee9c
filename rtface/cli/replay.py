"""``rtface replay``: a recorded session run again, and the first difference."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from rtface.cli.opening import me
from rtface.cli.options import JsonOption, PrecisionOptions, UnblindOption, grouped
from rtface.cli.several import each_in_turn
from rtface.cli.terminal.progress import progress_bar, until
from rtface.cli.terminal.screen import OUT, plain_table, print_json, print_note
from rtface.cli.terminal.signals import INTERRUPTED, ending_on_signals
from rtface.core.errors import UsageError
from rtface.live.rulesfile import Rules
from rtface.offline.replay.network import NetworkReplay, replay_network
from rtface.offline.replay.report import Difference, RulesReplay
from rtface.offline.replay.rules import replay_rules
from rtface.record.seal.openings import open_seal
from rtface.record.session.entries import NetworkEntry
from rtface.record.session.reader import Session, read_session
from rtface.record.session.summary import TRIAL, hides_counts
from rtface.track.backends.factory import engine_for

DIFFERS = 1
"""Exit code where the replay is not as the record."""


@grouped
def replay(
    *,
    session: Annotated[
        list[Path],
        typer.Argument(metavar="SESSION...", help="Folders of sessions, or their logs: each in turn."),
    ],
    network: Annotated[
        bool, typer.Option("--network", help="Run the network again on the recorded frames, too.")
    ] = False,
    rules: Annotated[Path | None, typer.Option(help="A rules file in place of the session's own.")] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="With --network: an engine in place of the session's own.")
    ] = None,
    backend: PrecisionOptions,
    unblind: UnblindOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run features and rules again on the recorded poses, and compare every value and every decision bit for bit.

    With --network the network runs again on the recorded frames, too; from a video that keeps every pixel its poses
    should be the same. Exit code 0 if nothing differs that should not, 1 otherwise; of several sessions, the first
    failure's.
    """
    each_in_turn(session, lambda each: _replay(each, network, rules, engine, backend, unblind, as_json))


def _replay(
    session: Path,
    network: bool,
    rules: Path | None,
    engine: str | None,
    backend: PrecisionOptions,
    unblind: bool,
    as_json: bool,
) -> None:
    recorded = read_session(session)
    key = None
    if unblind and recorded.seal is not None:
        key = open_seal(recorded.folder, me(), "rtface replay --unblind")
    has_rules = rules is not None or (
        recorded.configuration is not None and bool(recorded.configuration.resolved)
    )
    if not has_rules and not network:
        raise UsageError("this session was run without rules; --network runs its network again")
    reports: dict[str, RulesReplay | NetworkReplay] = {}
    for camera in (recorded.cameras or ("",)) if network else ():
        alone = recorded.of_camera(camera) if camera else recorded
        what = f"network {camera}".rstrip()
        reports[what] = _replay_network(session, alone, camera, what, engine, backend, quiet=as_json)
    if has_rules:
        reports["rules"] = replay_rules(session, None if rules is None else Rules(rules).spec, key=key)
    blinded = not unblind and hides_counts(recorded)
    if as_json:
        print_json({name: _as_map(each, blinded) for name, each in reports.items()})
    else:
        for each in reports.values():
            _print(each, blinded)
    if not all(
        each.identical or (isinstance(each, NetworkReplay) and not each.exact) for each in reports.values()
    ):
        raise typer.Exit(DIFFERS)


def _replay_network(
    session: Path,
    recorded: Session,
    camera: str,
    what: str,
    engine: str | None,
    backend: PrecisionOptions,
    *,
    quiet: bool,
) -> NetworkReplay:
    """Run the network again on the frames of one camera."""
    name = engine or next((each.engine for each in recorded.of(NetworkEntry)), "default")
    settings = backend.settings()
    with (
        ending_on_signals() as ending,
        progress_bar(what, len(recorded.frames), unit="frames", quiet=quiet) as bar,
    ):
        found = replay_network(
            session, engine_for(name, settings), settings, camera=camera, progress=until(ending, bar)
        )
    if ending.is_set():
        raise typer.Exit(INTERRUPTED)
    return found


def _as_map(report: RulesReplay | NetworkReplay, blinded: bool) -> dict[str, object]:
    if blinded and isinstance(report, RulesReplay):  # the calls count the light, as the decisions do
        report = dataclasses.replace(
            report,
            calls=0,
            recorded=_public(report.recorded),
            replayed=_public(report.replayed),
            decision=None if report.decision is None else _hidden(report.decision),
        )
    first = report.first
    return dataclasses.asdict(report) | {
        "identical": report.identical,
        "first": None if first is None else dataclasses.asdict(first) | {"text": first.in_words()},
    }


def _public(actions: dict[str, int]) -> dict[str, int]:
    """Return how many decisions there were by action, light and sham as one."""
    hidden = ("fire", "sham", TRIAL)
    trials = sum(actions.get(name, 0) for name in hidden)
    return {name: count for name, count in actions.items() if name not in hidden} | {TRIAL: trials}


def _hidden(difference: Difference) -> Difference:
    """Return a decision that differs without what it was, or when where no frame made it: light has such calls alone."""
    text = "a decision differs; --unblind shows how"
    if difference.frame_id is None:
        return Difference(difference.what, None, 0, text, {}, {}, {})
    return dataclasses.replace(difference, text=text, recorded={}, replayed={})


def _print(report: RulesReplay | NetworkReplay, blinded: bool) -> None:
    if isinstance(report, NetworkReplay):
        _print_network(report)
        return
    calls = "the" if blinded else report.calls
    OUT.print(
        f"rules: {report.frames} frames and {calls} other calls, {report.values} values and "
        f"{sum(report.recorded.values())} decisions compared",
        soft_wrap=True,
    )
    if report.identical:
        OUT.print(Text("identical, bit for bit", style="bold green"))
        return
    for title, each in (
        ("value", report.value),
        ("baseline", report.baseline),
        ("decision", report.decision),
        ("gap", report.hole),
    ):
        if each is not None:
            _print_difference(title, _hidden(each) if blinded and each is report.decision else each)


def _print_difference(title: str, difference: Difference) -> None:
    OUT.print(Text(f"first {title} that differs: {difference.in_words()}", style="bold red"), soft_wrap=True)
    inputs = difference.inputs
    if "recorded" not in inputs:
        return
    table = plain_table("value", "recorded", "replayed", "score", "exposed (ns)")
    for name, was in inputs["recorded"].items():
        now = inputs["replayed"].get(name)
        same = now is None or repr(now) == repr(was)
        table.add_row(
            Text(name),
            f"{was['value']!r}",
            "" if now is None else f"{now['value']!r}",
            f"{was['score']:.3f}",
            str(was["exposure_ns"]),
            style="" if same else "red",
        )
    OUT.print(table)


def _print_network(report: NetworkReplay) -> None:
    OUT.print(f"network: {report.identical_frames} of {report.frames} poses identical", soft_wrap=True)
    if report.shift_px is not None:
        p50, p99, largest = report.shift_px
        OUT.print(
            f"keypoints shift by {p50:.4f} px in the median, {p99:.4f} px at the 99th percentile, {largest:.4f} px at most"
        )
    if report.altered:
        OUT.print(Text(f"{report.altered} frames are not those that were recorded", style="bold red"))
    if report.first is not None:
        OUT.print(Text(f"first difference: {report.first.in_words()}", style="bold red"), soft_wrap=True)
    else:
        OUT.print(Text("identical, bit for bit", style="bold green"))
    if not report.exact:
        print_note(
            "The video does not keep every pixel, so some shift is expected; record `frames: lossless` for an exact replay."
        )
    for remark in report.remarks:
        print_note(remark)
