"""Nothing that the page is told tells light from sham, until somebody unblinds, and then to that page alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from support.recorded_loop import RULES, Loop, record_loop
from support.waits import wait_until

from rtface.core.clock import ManualClock
from rtface.core.decision import Action
from rtface.decide.rulebank import ALIKE_NS
from rtface.offline.export.events import event_tables
from rtface.offline.export.metadata import Metadata
from rtface.offline.export.nwb.writing import write_nwb
from rtface.offline.export.parquet import parquet_files, write_parquet
from rtface.offline.export.slp import write_slp
from rtface.offline.export.source import session_recording
from rtface.offline.sessions.outline import outline
from rtface.record.seal.cipher import read_key
from rtface.record.seal.openings import openings
from rtface.record.session.reader import read_session

from .conftest import BEGAN_NS, DRAWN, Lab

TELLING = re.compile(
    r"sham|light_on|train_ended|\d commanded|\"commanded|handover|answer_|\"answer\"|acknowledged"
)


def everything(lab: Lab, session: str, opened: str = "") -> dict[str, Any]:
    """All that a page can ask of a session."""
    told = {
        "list": lab.get(""),
        "text": lab.client.get(
            "/api/sessions/certificate", params={"session": session, "form": "text", "opened": opened}
        ).text,
        "compared": lab.get(
            "compare", first=session, second=session, opened_first=opened, opened_second=opened
        ),
        "decisions": lab.get("decisions", session=session, opened=opened, limit=500),
        "all": lab.get("decisions", session=session, opened=opened, action="none", limit=500),
        "moments": [
            lab.get("moment", session=session, frame=each, opened=opened) for each in range(10, 700, 40)
        ],
        "timelines": [
            lab.get("timeline", session=session, opened=opened, points=points) for points in (50, 4000)
        ],
    }
    for what in ("summary", "certificate"):
        told[what] = lab.get(what, session=session, opened=opened)
    told["summary"]["rules"] = ""  # the rules' own text, which the experimenter wrote
    return told


def files(folder: Path, out: Path) -> dict[str, dict[str, list[Any]]]:
    """All that NWB, SLEAP's and Parquet files say of a session, but for the rules' own text and descriptions of columns."""
    for package in ("ndx_optogenetics", "pyarrow"):
        pytest.importorskip(package)
    from pyarrow import parquet

    out.mkdir()
    recording = session_recording(outline(folder))
    assert write_nwb(recording, out / "x.nwb", Metadata())
    assert write_slp(recording, out / "x.slp") is not None
    tables = parquet_files(recording, out)
    assert write_parquet(recording, tables)
    told = {name: dict(parquet.read_table(path).to_pydict()) for name, path in tables.items()}
    facts = parquet.read_schema(tables["poses"]).metadata
    told["facts"] = {
        key.decode(): [value.decode()]
        for key, value in facts.items()
        if not key.startswith((b"rtface.rules", b"ARROW"))
    }
    for name in ("x.nwb", "x.slp"):
        held: dict[str, list[Any]] = {}
        with h5py.File(out / name) as file:
            file.visititems(lambda where, item, held=held: held.update(_texts(where, item)))
        told[name] = held
    return told


def _texts(where: str, item: Any) -> dict[str, list[Any]]:
    if not isinstance(item, h5py.Dataset) or "specifications" in where:
        return {}
    values = np.atleast_1d(item[()]).tolist()
    if where.endswith("recorded_facts/text"):
        values = [each for each in values if b"schedule" not in each]  # the rules' own text
    return {where: [each.decode() if isinstance(each, bytes) else each for each in values]}


def trials(lab: Lab) -> dict[int, str]:
    return {
        number: each.action.value
        for number, each in enumerate(lab.loops["sealed"].decisions)
        if each.rule == "whisk" and each.action in (Action.FIRE, Action.SHAM)
    }


def test_a_sealed_session_tells_nothing(lab: Lab) -> None:
    assert {"fire", "sham"} == set(trials(lab).values())
    told = everything(lab, lab.sealed)
    assert TELLING.findall(json.dumps(told)) == []
    listed = {each["number"]: each for each in told["decisions"]["decisions"]}
    assert {listed[number]["action"] for number in trials(lab)} == {"trial"}
    assert {listed[number]["reason"] for number in trials(lab)} == {"rule"}
    assert {each["light"] for each in told["moments"]} == {None}
    assert {json.dumps(each["light"]) for each in told["timelines"]} == {"null"}
    assert told["certificate"]["light"] is None
    assert told["summary"]["blinded"]
    for action in ("fire", "sham"):
        asked = lab.get("decisions", session=lab.sealed, rule="whisk", action=action)
        assert asked["count"] == 0  # a filter must not tell, either


def test_two_sessions_that_differ_in_light_and_sham_alone_are_told_alike(lab: Lab) -> None:
    """The same behaviour, with every trial light, and every trial sham: what the page is told is the same."""
    told = []
    for sham in (0.0, 1.0):
        rules = json.loads(json.dumps(RULES))
        rules["rules"]["whisk"]["schedule"] |= {"sham": sham, "catch": 0.0}
        clock = ManualClock(BEGAN_NS)
        loop = Loop(lab.folder / f"sham {sham}", rules, alike_ns=ALIKE_NS, sealed=True, clock=clock)
        loop.recorder.open()
        loop.call("arm", BEGAN_NS)
        loop.run(700)
        assert {each.action.value for each in loop.decisions if each.trial is not None and each.blind} == {
            "sham" if sham else "fire"
        }
        assert loop.recorder.close()
        folder = loop.folder
        found = everything(lab, folder.relative_to(lab.folder).as_posix())
        for each in ("list", "text", "compared"):
            del found[each]
        for each in ("fingerprint", "sha256", "began"):
            del found["certificate"][each]
        for each in ("sha256", "began"):
            del found["summary"]["summary"][each]
        written = files(folder, lab.folder / f"files {sham}")
        for each in ("facts", "x.nwb", "x.slp"):  # with the calendar's time, and hashes
            written[each] = {name: [] for name in written[each]}
        told.append(json.dumps([found, written], default=str).replace(folder.name, "X"))
    assert told[0] == told[1]


@pytest.mark.parametrize("which", ["plain", "sealed"])
def test_files_of_other_programs_tell_nothing_until_it_is_opened(
    lab: Lab, tmp_path: Path, which: str
) -> None:
    folder = lab.folder / getattr(lab, which)
    told = files(folder, tmp_path / "blind")
    assert TELLING.findall(json.dumps(told, default=str)) == []
    assert not {"light", "commands"} & told.keys()
    assert {"trial"} <= set(told["decisions"]["action"])
    key = read_key(folder) if which == "sealed" else None
    opened = event_tables(session_recording(outline(folder, key), unblind=True))
    named = {each.name: each for each in opened}
    actions = next(each.values for each in named["decisions"].columns if each.name == "action")
    assert {"fire", "sham"} <= set(actions)
    assert len(named["light"].times_ns) == sum(each == "fire" for each in actions)


def test_unblinding_is_by_post_and_written_down_and_for_that_page_alone(lab: Lab) -> None:
    folder = lab.folder / lab.sealed
    lab.post("unblind", 400, session=lab.sealed, who="  ", why="", first=True)
    lab.post(
        "unblind", 400, session=lab.sealed, who="anna", why="", first=False
    )  # nobody has unblinded it yet
    assert lab.client.get("/api/sessions/unblind").status_code == 405
    assert openings(folder) == []
    opened = lab.post("unblind", session=lab.sealed, who="anna", why="the study is over", first=True)[
        "opened"
    ]
    (line,) = openings(folder)
    assert (line["who"], line["why"], line["what"]) == ("anna", "the study is over", "rtface screen: unblind")
    told = everything(lab, lab.sealed, opened)
    listed = {each["number"]: each["action"] for each in told["decisions"]["decisions"]}
    assert {number: listed[number] for number in trials(lab)} == trials(lab)
    whole = read_session(folder, bytes.fromhex((folder / "seal.key").read_text().strip()))
    lights = sum(each.action == "fire" for each in whole.decisions)
    assert told["summary"]["summary"]["pulses"]["commanded"] == lights
    assert len(told["timelines"][1]["light"]) == lights
    assert not told["summary"]["blinded"]
    # Another page, and this one after it was loaded again, are told nothing still.
    assert TELLING.findall(json.dumps(everything(lab, lab.sealed))) == []
    for wrong in ("x", opened[:-1]):
        assert "has not opened" in lab.get("summary", 400, session=lab.sealed, opened=wrong)["error"]["text"]
    assert lab.get("summary", 400, session=lab.plain, opened=opened)
    # Whoever looks again says so, and that is written down, too.
    lab.post("unblind", session=lab.sealed, who="ben", why="", first=False)
    assert [each["who"] for each in openings(folder)] == ["anna", "ben"]
    assert [each["who"] for each in lab.get("summary", session=lab.sealed)["opened_by"]] == ["anna", "ben"]


def test_what_cannot_be_written_down_is_not_opened(lab: Lab) -> None:
    (lab.folder / lab.sealed / "unblinded.jsonl").mkdir()
    refused = lab.post("unblind", 400, session=lab.sealed, who="anna", first=True)
    assert refused["error"]["kind"] == "DataError"


def test_a_session_that_is_not_blinded_has_nothing_to_open(lab: Lab) -> None:
    rules = json.loads(json.dumps(DRAWN))
    rules["rules"]["whisk"]["schedule"]["blind"] = False
    folder = record_loop(lab.folder / "open", 600, rules).folder
    name = folder.relative_to(lab.folder).as_posix()
    refused = lab.post("unblind", 400, session=name, who="anna", first=True)
    assert "not blinded" in refused["error"]["text"]
    assert isinstance(lab.get("timeline", session=name)["light"], list)


def test_a_blinded_session_without_a_seal_is_blind_here_too(lab: Lab) -> None:
    """As of an rtface from before there was a seal: its log tells, but the page does not, until somebody asks."""
    assert TELLING.findall(json.dumps(everything(lab, lab.plain))) == []
    opened = lab.post("unblind", session=lab.plain, who="anna", why="", first=True)["opened"]
    assert "sham" in json.dumps(lab.get("decisions", session=lab.plain, opened=opened, limit=500))
    assert lab.get("timeline", session=lab.plain, opened=opened)["light"]


def test_what_a_job_says_others_see_so_it_tells_nothing(lab: Lab) -> None:
    name = lab.sealed
    opened = lab.post("unblind", session=name, who="anna", why="", first=True)["opened"]
    jobs = lab.jobs
    begun = [
        lab.post("verify", sessions=[name], opened=opened),
        lab.post("export", session=name, opened=opened),
    ]
    for job in begun:
        wait_until(lambda job=job: jobs.get(job["id"]).over)  # type: ignore[misc]
        said = [jobs.output(job["id"]), json.dumps(jobs.results(job["id"]))]
        assert TELLING.findall("".join(said)) == []
    assert jobs.get(begun[1]["id"]).state == "done"
    assert (lab.folder / begun[1]["about"]["folder"] / "pulses.csv").exists()
    assert begun[1]["about"]["folder"].endswith("-unblinded")
