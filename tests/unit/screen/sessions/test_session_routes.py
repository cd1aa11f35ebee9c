"""What the page of the sessions is told, and what it may have done."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from support.numbered_pictures import image_of, number_of
from support.waits import wait_until

from rtface.core.decision import Action
from rtface.record.seal.openings import OPENINGS_NAME
from rtface.record.session import LOG_NAME
from rtface.record.session.reader import read_session

from .conftest import FRAMES, Lab


def test_the_list_has_every_session_and_what_is_wrong_with_it(lab: Lab) -> None:
    told = lab.get("")
    by_path = {each["path"]: each for each in told["sessions"]}
    assert set(by_path) == {lab.plain, lab.sealed, "cut", "nothing", "empty", "damaged"}
    assert told["count"] == len(by_path)
    plain = by_path[lab.plain]["seen"]
    assert (plain["state"], plain["poses"], plain["sealed"]) == ("closed", FRAMES, False)
    assert by_path[lab.plain]["wrong"] == ""
    assert by_path[lab.sealed]["seen"]["sealed"]
    assert "not closed" in by_path["cut"]["wrong"]
    assert "not the log of a session" in by_path["nothing"]["wrong"]
    assert by_path["empty"]["wrong"]
    assert by_path["damaged"]["wrong"] == ""  # a glance does not see the middle of a log
    lab.get("summary", session="damaged")
    again = {each["path"]: each for each in lab.get("")["sessions"]}
    assert "wrong checksum" in again["damaged"]["wrong"]
    assert [each["path"] for each in lab.get("", word="MOUSE 2")["sessions"]] == [lab.sealed]
    page = lab.get("", offset=2, limit=3)
    assert len(page["sessions"]) == 3
    assert page["count"] == len(by_path)


def test_a_session_that_was_exchanged_is_read_anew(lab: Lab) -> None:
    assert lab.get("summary", session="cut")["summary"]["state"] == "truncated"
    shutil.copy(lab.folder / lab.plain / LOG_NAME, lab.folder / "cut" / LOG_NAME)
    assert lab.get("summary", session="cut")["summary"]["state"] == "closed"
    listed = {each["path"]: each for each in lab.get("")["sessions"]}
    assert listed["cut"]["seen"]["state"] == "closed"


@pytest.mark.parametrize("name", ["../outside", "/etc", "", "nothing/../..", "link", "a\0b", "x" * 3000])
def test_nothing_outside_the_folder_is_read(lab: Lab, name: str) -> None:
    outside = lab.folder.parent / "outside"
    shutil.copytree(lab.folder / "cut", outside)
    (lab.folder / "link").symlink_to(outside)
    (lab.folder / "inner").mkdir()
    (lab.folder / "inner" / LOG_NAME).symlink_to(outside / LOG_NAME)
    for what in ("summary", "certificate", "timeline", "decisions", "moment", "picture"):
        assert lab.get(what, 400, session=name)["error"]["kind"] == "UsageError"
        lab.get(what, 400, session="inner")
    for what in ("replay", "export", "unblind"):
        lab.post(what, 400, session=name, who="me")
    lab.post("verify", 400, sessions=[name])
    assert not {"link", "inner"} & {each["path"] for each in lab.get("")["sessions"]}
    assert not (lab.folder / ".rtface").exists()


def test_the_certificate_as_json_and_as_text(lab: Lab) -> None:
    told = lab.get("certificate", session=lab.plain)
    whole = read_session(lab.folder / lab.plain)
    assert told["stages"]["end_to_end"]["n"] == FRAMES == told["poses"]
    assert told["fingerprint"] == whole.fingerprint
    assert told["sha256"]["engine"] == "0" * 64
    assert told["machine"]["rtface"]
    text = lab.client.get("/api/sessions/certificate", params={"session": lab.plain, "form": "text"}).text
    assert whole.fingerprint in text
    assert "network: prepared to inferred" in text
    assert max(map(len, text.splitlines())) <= 100


def test_a_long_stretch_is_drawn_with_few_points_and_loses_no_peak(lab: Lab) -> None:
    whole = read_session(lab.folder / lab.plain)
    began = whole.opened.t_ns if whole.opened else 0
    told = lab.get("timeline", session=lab.plain, points=60)
    names = [each["name"] for each in told["values"]]
    for series in told["series"]:
        column = whole.features["values"][:, names.index(series["name"])].astype(np.float32)
        assert len(series["t"]) <= 60
        low = [each for each in series["low"] if each is not None]
        high = [each for each in series["high"] if each is not None]
        assert min(low) == pytest.approx(float(np.nanmin(column)), rel=1e-5)
        assert max(high) == pytest.approx(float(np.nanmax(column)), rel=1e-5)
    at = (int(whole.features["now_ns"][700]) - began) / 1e9
    near = lab.get("timeline", session=lab.plain, **{"from": at, "to": at + 0.05}, names="nose.speed")
    (series,) = near["series"]
    rows = dict(zip(series["t"], series["low"], strict=True))
    number = names.index("nose.speed")
    for row in whole.features[700:710]:
        when = round((int(row["now_ns"]) - began) / 1e9, 6)
        assert rows[when] == pytest.approx(float(row["values"][number]), rel=1e-5)
    assert len(near["series"][0]["t"]) <= 14


def test_decisions_stand_beside_the_thresholds_that_they_met(lab: Lab) -> None:
    told = lab.get("decisions", session=lab.plain, rule="whisk", action="withhold", limit=500)
    assert told["count"] == len(told["decisions"]) > 0
    (value,) = told["decisions"][0]["values"]
    assert (value["name"], value["begins"], value["ends"]) == ("pad.amplitude", [6.0], [4.0])
    near = lab.get("decisions", session=lab.plain, rule="near", action="fire")["decisions"]
    assert {tuple(each["begins"]) for each in near[0]["values"]} == {(30.0,), (0.5,)}
    assert near[0]["values"][0]["value"] < 30
    wanted = [each for each in lab.loops["plain"].decisions if each.action is not Action.NONE]
    assert lab.get("decisions", session=lab.plain)["count"] == len(wanted)
    page = lab.get("decisions", session=lab.plain, offset=1, limit=2)
    assert [each["number"] for each in page["decisions"]] == [
        each["number"] for each in lab.get("decisions", session=lab.plain)["decisions"][1:3]
    ]


@pytest.mark.parametrize("which", ["plain", "sealed"])
def test_the_picture_is_that_of_the_frame(lab: Lab, which: str) -> None:
    name = getattr(lab, which)
    whole = read_session(lab.folder / name)
    rows = whole.frames[[0, 1, len(whole.frames) // 2, -1]]
    for row in rows:
        number = int(row["frame_id"]) - 10
        for form in ("png", "jpeg"):
            answer = lab.client.get(
                "/api/sessions/picture", params={"session": name, "frame": int(row["frame_id"]), "form": form}
            )
            assert answer.status_code == 200
            assert answer.headers["content-type"] == f"image/{form}"
            image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_GRAYSCALE)
            assert number_of(image) == number
            if (which, form) == ("plain", "png"):
                np.testing.assert_array_equal(image, image_of(number))
    lab.get("picture", 400, session=name, frame=5)
    lab.get("picture", 400, session=name, frame=20, form="exe")
    lab.get("picture", 400, session="cut", frame=20)


def test_a_moment_is_a_frame_with_its_values(lab: Lab) -> None:
    whole = read_session(lab.folder / lab.plain)
    began = whole.opened.t_ns if whole.opened else 0
    row = whole.features[321]
    told = lab.get("moment", session=lab.plain, t=(int(row["now_ns"]) - began) / 1e9 + 0.001)
    assert told["frame"] == row["frame_id"]
    values = {each["name"]: each["value"] for each in told["values"]}
    for name, value in zip(whole.configuration.features, row["values"], strict=True):  # type: ignore[union-attr]
        assert values[name] == (None if math.isnan(value) else pytest.approx(value, rel=1e-5))
    pose = whole.poses[321]
    np.testing.assert_allclose([each[:2] for each in told["points"]], pose["xy"], rtol=1e-5)
    assert told["latency_ms"] == pytest.approx((pose["published_ns"] - pose["exposure_ns"]) / 1e6)
    after = lab.get("moment", session=lab.plain, frame=told["frame"], step=7)
    assert after["frame"] == told["frame"] + 7
    back = lab.get("moment", session=lab.plain, frame=after["frame"], step=-7)
    assert back == lab.get("moment", session=lab.plain, frame=told["frame"])
    assert lab.get("moment", session=lab.plain, frame=told["frame"], step=-(10**6))["frame"] == 10
    fired = next(each for each in whole.decisions if each.action == "fire" and each.frame_id)
    assert fired.number in [
        each["number"] for each in lab.get("moment", session=lab.plain, frame=fired.frame_id)["decisions"]
    ]
    lab.get("moment", 400, session=lab.plain)
    lab.get("moment", 400, session="nothing", frame=3)


def test_two_sessions_beside_each_other(lab: Lab) -> None:
    told = lab.get("compare", first=lab.plain, second=lab.sealed)
    stages = {each["name"]: each for each in told["latency"]}
    assert stages["network"]["first"]["n"] == stages["network"]["second"]["n"] == FRAMES
    assert {"name": "poses", "first": FRAMES, "second": FRAMES} in told["counts"]
    assert "sham" not in json.dumps(told)


def test_bad_parameters_are_refused_by_name(lab: Lab) -> None:
    for asked in (
        {"points": "many"},
        {"from": "a"},
        {"from": "nan"},
        {"to": "1e99"},
        {"from": 2, "to": 1},
        {"names": "no.such"},
        {"names": ",".join(["nose.speed"] * 20)},
    ):
        refused = lab.get("timeline", 400, session=lab.plain, **asked)
        assert refused["error"]["text"]
    assert len(lab.get("timeline", session=lab.plain, points=10**9)["series"][0]["t"]) <= 4000
    lab.post("overlay", 400, session=lab.plain, **{"from": 0, "to": 10**6, "speed": 1})
    lab.post("overlay", 400, session=lab.plain, **{"from": 0, "to": "x", "speed": 1})
    lab.post("export", 400, session=lab.plain, format="no such")
    lab.post("verify", 400, sessions="x")


def test_verify_replay_export_and_overlay_run_as_jobs(lab: Lab) -> None:
    jobs = lab.jobs

    def over(job: dict[str, str]) -> str:
        wait_until(lambda: jobs.get(job["id"]).over)
        ended = jobs.get(job["id"])
        return ended.state + (f" {ended.code}" if ended.code else "")

    verified = lab.post("verify", sessions=[lab.plain, "damaged", lab.sealed])
    exported = lab.post("export", session=lab.sealed)
    replayed = lab.post("replay", session=lab.sealed)
    filmed = lab.post("overlay", session=lab.sealed, **{"from": 0, "to": 10**3, "speed": 0.5})
    assert over(verified) == "failed 8"
    found = lab.get("verified", job=verified["id"])["sessions"]
    assert [(each["session"], each["whole"]) for each in found] == [
        (lab.plain, True),
        ("damaged", False),
        (lab.sealed, True),
    ]
    assert over(exported) == "done"
    written = {each.name for each in (lab.folder / exported["about"]["folder"]).iterdir()}
    assert written == {
        "poses.rtface.h5",
        "decisions.csv",
        "features.csv",
    }  # pulses would tell light from sham
    assert over(replayed) == "done"
    assert jobs.result(replayed["id"])["rules"]["identical"]
    assert over(filmed) == "done", jobs.get(filmed["id"]).reason
    video = lab.client.get("/api/sessions/video", params={"file": filmed["about"]["file"]})
    assert video.status_code == 200
    assert len(video.content) > 1000
    for path in (
        f"{lab.plain}/frames.mkv",
        "overlays/../cut/session.log",
        "overlays/none.mp4",
        "/etc/passwd",
    ):
        lab.get("video", 400, file=path)
    assert not (lab.folder / lab.sealed / OPENINGS_NAME).exists()


def test_a_get_writes_nothing(lab: Lab) -> None:
    before = {path: path.stat().st_mtime_ns for path in lab.folder.rglob("*")}
    for name in (lab.plain, lab.sealed, "cut"):
        for what in ("summary", "certificate", "timeline", "decisions"):
            lab.get(what, session=name)
        lab.get("moment", session=name, t=0)
    lab.get("")
    assert {path: path.stat().st_mtime_ns for path in lab.folder.rglob("*")} == before


def test_a_folder_of_hundreds_is_listed(lab: Lab) -> None:
    log = (lab.folder / "cut" / LOG_NAME).read_bytes()[:3000]
    for number in range(300):
        folder = lab.folder / "many" / f"session {number:03}"
        folder.mkdir(parents=True)
        (folder / LOG_NAME).write_bytes(log)
    told = lab.get("", word="many")
    assert told["count"] == len(told["sessions"]) == 300
    (lab.folder / "many" / "session 000" / LOG_NAME).unlink()
    os.mkfifo(lab.folder / "many" / "session 000" / LOG_NAME)  # nothing that could be waited for is opened
    assert lab.get("", word="many")["count"] == 299
    deep = lab.folder / Path(*"abcdefgh")
    deep.mkdir(parents=True)
    (deep / LOG_NAME).write_bytes(log)
    assert "a/b" not in str(lab.get(""))
