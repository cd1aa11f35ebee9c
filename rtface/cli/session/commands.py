"""``rtface session``: what recorded sessions hold, whether they are whole, and their tables for other programs."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer

from rtface.cli.opening import me, outline_opened, read_opened
from rtface.cli.options import JsonOption, NamesOption, UnblindOption
from rtface.cli.session.exporting import Exports, MetadataOption, write_exports
from rtface.cli.several import each_in_turn
from rtface.cli.terminal.progress import progress_bar, until
from rtface.cli.terminal.screen import ERR, print_error, print_json, print_line
from rtface.cli.terminal.sessioncomparison import print_comparison
from rtface.cli.terminal.sessionview import print_findings, print_sessions, print_summary
from rtface.cli.terminal.signals import INTERRUPTED, ending_on_signals
from rtface.core.errors import DataError, RtfaceError, UsageError
from rtface.offline.export.metadata import metadata_template
from rtface.offline.export.parquet import parquet_files
from rtface.offline.export.source import session_recording
from rtface.offline.sessions.certificate import certify
from rtface.offline.sessions.certificate_text import certificate_text
from rtface.offline.sessions.comparison import compare_sessions
from rtface.offline.sessions.outline import outline
from rtface.offline.sessions.overlay import write_overlay
from rtface.offline.sessions.unblinding import unblind_session
from rtface.record import formats
from rtface.record.formats.base import atomic_file
from rtface.record.seal.openings import openings
from rtface.record.session import LOG_NAME
from rtface.record.session.entries import DecisionEntry
from rtface.record.session.reader import read_session
from rtface.record.session.summary import Summary, blinded_trials, shown, summarise
from rtface.record.session.tables import write_tables
from rtface.record.session.verify import verify
from rtface.record.session.verify.finding import SessionFinding

app = typer.Typer(
    help="Recorded sessions: what happened, and whether the record is whole.", no_args_is_help=True
)

FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a session, or its log.")]
FoldersArgument = Annotated[
    list[Path], typer.Argument(metavar="FOLDER...", help="Folders of sessions, or their logs: each in turn.")
]


@app.command()
def show(
    folder: FoldersArgument,
    decisions: Annotated[
        bool, typer.Option("--decisions", help="List each decision with its inputs.")
    ] = False,
    latency: Annotated[bool, typer.Option("--latency", help="Show the latency of every stage.")] = False,
    unblind: UnblindOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what happened: when, with what, who armed it, what was decided and why, what the light did, what was lost."""
    each_in_turn(folder, lambda each: _show(each, decisions, latency, unblind, as_json))


def _show(folder: Path, decisions: bool, latency: bool, unblind: bool, as_json: bool) -> None:
    session = read_opened(folder, "rtface session show", unblind=unblind)
    summary = summarise(session, unblind=unblind)
    if as_json:
        listed = (
            {"decisions_listed": [_as_map(each, unblind) for each in session.decisions]} if decisions else {}
        )
        print_json(summary.as_dict() | listed)
        return
    print_summary(session, summary, decisions=decisions, latency=latency, unblind=unblind)


@app.command("verify")
def verify_(folder: FoldersArgument, unblind: UnblindOption = False, as_json: JsonOption = False) -> None:
    """Check all that the record claims; exit code 0 only if it is whole.

    Checks checksums and the chain, totals, hashes of the texts, numbers of decisions, a command and an answer to each
    decision to fire, the order of times, and the video's pictures against the frame index.
    """
    each_in_turn(folder, lambda each: _verify(each, unblind, as_json))


def _verify(folder: Path, unblind: bool, as_json: bool) -> None:
    session = read_opened(folder, "rtface session verify", unblind=unblind)
    with ERR.status("checking") as status:
        findings = verify(
            session,
            blinded=not unblind and blinded_trials(session) > 0,
            progress=lambda done, total: status.update(f"frame {done} of {total}"),
        )
    whole = all(each.verdict == "whole" for each in findings)
    if as_json:
        print_json(
            {
                "session": str(folder),
                "whole": whole,
                "fingerprint": session.fingerprint,
                "findings": list(map(_finding, findings)),
            }
        )
    else:
        print_findings(session, findings)
    if not whole:
        raise typer.Exit(DataError.exit_code)


@app.command()
def export(
    folder: FolderArgument,
    out: Annotated[Path, typer.Option(help="Folder to write into; it is made if need be.")],
    form: Annotated[
        str | None, typer.Option("--format", help=f"Of the poses; one of: {formats.NAMES}; else rtface.")
    ] = None,
    nwb: Annotated[bool, typer.Option("--nwb", help="Write session.nwb instead.")] = False,
    slp: Annotated[bool, typer.Option("--slp", help="Write poses.slp, for SLEAP, instead.")] = False,
    parquet: Annotated[
        bool,
        typer.Option("--parquet", help="Write each table as .parquet, for pandas, R and MATLAB, instead."),
    ] = False,
    metadata: MetadataOption = None,
    unblind: UnblindOption = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Write poses as a keypoint file, and decisions, commands to outputs and values as CSV; or NWB, SLEAP's, Parquet.

    Of several cameras each has files of its own, and `joined.csv` says which of their frames belong together.
    """
    if nwb or slp or parquet:
        if form is not None:
            raise UsageError(
                "--format is of the keypoint file, which --nwb, --slp and --parquet stand in the place of"
            )
        if cameras := read_session(folder).cameras:
            raise UsageError(
                f"--nwb, --slp and --parquet are of one camera, and this session has {', '.join(cameras)}"
            )
        found = outline_opened(folder, "rtface session export", unblind=unblind)
        recording = session_recording(found, unblind=unblind)
        _make(out)
        exports = Exports(
            out / "session.nwb" if nwb else None,
            out / "poses.slp" if slp else None,
            parquet_files(recording, out) if parquet else None,
        )
        write_exports(recording, exports, metadata, overwrite=overwrite)
        return
    if metadata is not None:
        raise UsageError("--metadata is for --nwb alone: it has no place in other files")
    session = read_opened(folder, "rtface session export", unblind=unblind)
    chosen = formats.choose(Path(), form or "rtface")
    _make(out)
    of_cameras = {f"-{name}": session.of_camera(name) for name in session.cameras} or {"": session}
    tables = {
        out / f"poses{ending}{chosen.endings[0]}": each
        for ending, each in of_cameras.items()
        if len(each.poses)
    }
    for poses in tables:
        formats.check(poses, chosen.name, overwrite=overwrite)
    written = write_tables(session, out, unblind=unblind, overwrite=overwrite)
    for poses, each in tables.items():
        formats.write(each.pose_table(), poses, chosen.name, overwrite=overwrite)
    for path in (*tables, *written):
        print_line(str(path))
    for text in session.missing:
        print_error(text)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the folder {folder} cannot be made: {error.strerror}") from error


@app.command("metadata")
def metadata_(
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="Session whose facts are filled in.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; else it is printed.")] = None,
) -> None:
    """Write a metadata file for `session export --nwb` and `convert`, to be filled in."""
    text = metadata_template(None if folder is None else outline(folder).session)
    if out is None:
        print_line(text.rstrip("\n"))
        return
    with atomic_file(out, overwrite=False) as file:
        file.write(text.encode())
    print_line(str(out))


@app.command()
def certificate(
    session: FolderArgument,
    unblind: UnblindOption = False,
    as_json: JsonOption = False,
) -> None:
    """Print the latency certificate: percentiles of each stage, misses, losses, machine and hashes, as one page of text.

    The percentiles are computed anew from the stamps of every recorded frame.
    """
    found = outline_opened(session, "rtface session certificate", unblind=unblind)
    certified = certify(found, unblind=unblind)
    if as_json:
        print_json(certified.as_dict())
        return
    for line in certificate_text(certified).splitlines():
        print_line(line)


@app.command()
def compare(
    first: FolderArgument,
    second: FolderArgument,
    unblind: UnblindOption = False,
    as_json: JsonOption = False,
) -> None:
    """Set two sessions beside each other: latencies, counts, the settings that differ, and how the rules differ."""
    found = [outline_opened(each, "rtface session compare", unblind=unblind) for each in (first, second)]
    compared = compare_sessions(found[0], found[1], unblind=(unblind, unblind))
    if as_json:
        print_json(compared.as_dict())
        return
    print_comparison(compared)


@app.command()
def overlay(
    session: FolderArgument,
    out: Annotated[Path, typer.Option(help="The MP4 to write.")],
    begin_s: Annotated[
        float, typer.Option("--from", help="Where it begins, in seconds since the session began.")
    ] = 0.0,
    end_s: Annotated[float | None, typer.Option("--to", help="Where it ends; else with the session.")] = None,
    speed: Annotated[float, typer.Option(help="0.25 plays it at a quarter of its pace.")] = 1.0,
    names: NamesOption = True,
    unblind: UnblindOption = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Write a stretch of a session as a video: the frames with points by score, the decisions, and the light."""
    found = outline_opened(session, "rtface session overlay", unblind=unblind)
    end_s = found.seconds + 1 if end_s is None else end_s
    with ending_on_signals() as ending, progress_bar("overlay", None, unit="frames") as bar:
        written = write_overlay(
            found,
            out,
            begin_s,
            end_s,
            speed=speed,
            unblind=unblind,
            names=names,
            overwrite=overwrite,
            progress=until(ending, bar),
        )
    if written is None:
        raise typer.Exit(INTERRUPTED)
    print_line(str(written.path))


@app.command()
def unblind(
    folder: FolderArgument,
    who: Annotated[
        str | None, typer.Option("--as", help="Who you are, for the record; else user@computer.")
    ] = None,
    why: Annotated[str, typer.Option("--why", help="The reason, for the record.")] = "",
    show_only: Annotated[
        bool, typer.Option("--show", help="Show who opened it so far, and open nothing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Open the seal of a blinded session, and write down who did: from then on `--unblind` of other commands does.

    Each later opening is written down, too, in unblinded.jsonl in the session's folder.
    """
    session = read_session(folder)
    if session.seal is None or not show_only:
        unblind_session(session, who or me(), "rtface session unblind", why)
    opened = openings(session.folder)
    if as_json:
        print_json(opened)
        return
    for each in opened:
        reason = f" ({each['why']})" if each["why"] else ""
        print_line(f"{each['at']}  {each['who']}: {each['what']}{reason}")
    if not opened:
        print_line("nobody has opened it")


@app.command("list")
def list_(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="Folder of sessions.")],
    as_json: JsonOption = False,
) -> None:
    """List the sessions in a folder, the oldest first."""
    if not root.is_dir():
        raise UsageError(f"there is no folder {root}")
    found: list[Summary] = []
    for log in sorted(root.glob(f"*/{LOG_NAME}")):
        try:
            found.append(summarise(read_session(log)))
        except RtfaceError as error:
            print_error(error)
    if as_json:
        print_json([each.as_dict() for each in found])
        return
    print_sessions(found)


def _as_map(decision: DecisionEntry, unblind: bool) -> dict[str, Any]:
    values = {each.name: getattr(decision, each.name) for each in dataclasses.fields(decision)}
    if not decision.camera_name:
        del values["camera_name"]
    action, reason = shown(decision, unblind=unblind)
    return values | {"action": action, "reason": reason}


def _finding(finding: SessionFinding) -> dict[str, str]:
    return {"check": finding.check, "verdict": finding.verdict, "text": finding.text}
