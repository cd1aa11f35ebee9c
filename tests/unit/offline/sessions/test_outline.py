"""A session gone through once says what the whole one in memory says."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support.paths import REPOSITORY
from support.recorded_loop import RULES, Loop, record_loop

from rtface.core.errors import DataError
from rtface.decide.rulebank import ALIKE_NS
from rtface.decide.rules import RulesFile
from rtface.offline.sessions.certificate import certify
from rtface.offline.sessions.certificate_text import certificate_text
from rtface.offline.sessions.outline import Outline, latency_settings, outline
from rtface.record.seal.cipher import read_key
from rtface.record.session import LOG_NAME
from rtface.record.session.entries import LatencyEntry
from rtface.record.session.log import DiskFile, LogWriter
from rtface.record.session.logreader import LogReader
from rtface.record.session.reader import Session, read_session
from rtface.record.session.rows import CHUNK_DTYPE, CHUNKS, Rows, encode_rows
from rtface.record.session.summary import summarise

FRAMES = 1500
DRAWN = json.loads(RulesFile.model_validate(RULES).of_session(4711).model_dump_json())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return record_loop(tmp_path_factory.mktemp("plain"), FRAMES)


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return record_loop(tmp_path_factory.mktemp("sealed"), FRAMES, DRAWN, alike_ns=ALIKE_NS, sealed=True)


def assert_says_the_same(found: Outline, whole: Session, *, unblind: bool) -> None:
    assert found.summary(unblind=unblind) == summarise(whole, unblind=unblind)
    assert found.session.fingerprint == whole.fingerprint
    assert found.session.missing == whole.missing
    assert repr(found.session.decisions) == repr(whole.decisions)
    assert found.rows.features == len(whole.features)
    assert found.stages["network"].n == len(whole.poses)


def one(rows: Rows | None) -> bytes:
    assert rows is not None
    assert rows.shape == (1,)
    return rows.tobytes()


def test_it_is_as_the_whole_session(plain: Loop) -> None:
    for unblind in (False, True):
        assert_says_the_same(outline(plain.folder), read_session(plain.folder), unblind=unblind)


def test_triggers_and_exposures_of_frames_are_passed_over(plain: Loop, tmp_path: Path) -> None:
    log = LogWriter(DiskFile(tmp_path / LOG_NAME))
    for number, record in enumerate(LogReader(plain.folder / LOG_NAME)):
        log.append(record.kind, record.payload)
        if number == 20:
            log.append(CHUNKS, encode_rows(1, [np.array((7, 9, 1500.0), CHUNK_DTYPE).tobytes()]), 1)
        log.commit()
    log.close()
    found, whole = outline(tmp_path), read_session(tmp_path)
    assert len(whole.chunks) == 1
    assert_says_the_same(found, whole, unblind=False)


def test_a_sealed_one_too_closed_and_opened(sealed: Loop) -> None:
    assert_says_the_same(outline(sealed.folder), read_session(sealed.folder), unblind=False)
    key = read_key(sealed.folder)
    opened = outline(sealed.folder, key)
    assert_says_the_same(opened, read_session(sealed.folder, key), unblind=True)
    assert opened.summary(unblind=True).pulses is not None
    with pytest.raises(DataError):
        outline(sealed.folder, bytes(32))


def test_a_session_of_an_rtface_of_before() -> None:
    """Made before poses had a time of publishing of their own, before seals and view checks."""
    (old,) = (each.parent for each in (REPOSITORY / "tests/data/session-01fc540").rglob(LOG_NAME))
    assert_says_the_same(outline(old), read_session(old), unblind=False)
    text = certificate_text(certify(outline(old)))
    assert "LATENCY CERTIFICATE" in text


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.999])
def test_a_log_that_was_cut_off(plain: Loop, tmp_path: Path, keep: float) -> None:
    data = (plain.folder / LOG_NAME).read_bytes()
    (tmp_path / LOG_NAME).write_bytes(data[: int(keep * len(data))])
    whole = read_session(tmp_path)
    assert whole.state == "truncated"
    assert_says_the_same(outline(tmp_path), whole, unblind=False)


def test_a_damaged_log(plain: Loop, tmp_path: Path) -> None:
    data = bytearray((plain.folder / LOG_NAME).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / LOG_NAME).write_bytes(data)
    found = outline(tmp_path)
    assert found.session.state == "damaged"
    assert_says_the_same(found, read_session(tmp_path), unblind=False)


def test_no_session(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no session there"):
        outline(tmp_path)


def test_rows_are_found_by_time_and_by_frame(plain: Loop) -> None:
    found, whole = outline(plain.folder), read_session(plain.folder)
    features, poses = whole.features, whole.poses
    index = found.index["features"]
    for number in (0, 1, 511, 512, 777, FRAMES - 1):
        row = features[number]
        for t_ns in (row["now_ns"], row["now_ns"] + 1):
            assert one(index.row_at(found.log, int(t_ns))) == row.tobytes()
        pose = one(found.index["poses"].row_of(found.log, int(poses["frame_id"][number])))
        assert pose[:64] == poses[number].tobytes()[:64]  # behind it stands when it was published
        assert pose[72:] == poses[number].tobytes()[72:]
        for by in (-600, -1, 0, 1, 600):
            at = one(index.step(found.log, int(row["frame_id"]), by))
            assert at == features[min(max(number + by, 0), FRAMES - 1)].tobytes()
    assert one(index.row_at(found.log, 0)) == features[0].tobytes()
    assert found.index["poses"].row_of(found.log, 0) is None
    assert found.index["frames"].row_at(found.log, 0) is None


def test_rows_of_a_stretch_are_read_alone(plain: Loop) -> None:
    found, whole = outline(plain.folder), read_session(plain.folder)
    index, times = found.index["features"], whole.features["now_ns"]
    first, last = index.between(int(times[400]), int(times[700]))
    rows = np.concatenate(list(index.read(found.log, first, last)))
    assert set(times[400:701]) <= set(rows["now_ns"])
    assert index.rows_in(first, last) == len(rows) < FRAMES


def test_a_log_that_was_exchanged_is_noticed(plain: Loop, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(plain.folder, folder)
    found = outline(folder)
    (folder / LOG_NAME).write_bytes(bytes(1000))
    with pytest.raises(DataError, match="changed"):
        found.index["features"].row_at(found.log, found.began_ns)


def test_the_envelope_holds_the_features(plain: Loop) -> None:
    found, whole = outline(plain.folder), read_session(plain.folder)
    assert found.envelope is not None
    values = whole.features["values"].astype(np.float32)
    _, low, high = found.envelope.part(0, 2**62, 1, np.arange(values.shape[1]))
    np.testing.assert_array_equal(low[0], np.fmin.reduce(values))
    np.testing.assert_array_equal(high[0], np.fmax.reduce(values))


def test_the_rigs_deadline_and_budget() -> None:
    assert latency_settings("latency: {deadline_ms: 7, budget: p99 < 15 ms}")[0] == 7
    budget = latency_settings("latency: {deadline_ms: 7, budget: p99 < 15 ms}")[1]
    assert budget is not None
    assert budget.limit_ns == 15_000_000
    for text in ("", "camera: {}", "- 1", "latency: 3", "latency: {budget: soon}", "a: [", "\0"):
        assert latency_settings(text) == (10.0, None)


def test_percentiles_of_every_stage_stay_when_those_of_light_come_last(plain: Loop) -> None:
    """The loop records the light's alone at its end; what was known of the frames is not lost by that."""
    whole = read_session(plain.folder)
    stage = {"n": 9, "p50_ms": 1.0, "p95_ms": 1.0, "p99_ms": 1.0, "p999_ms": 1.0, "max_ms": 1.0}
    entries = (
        LatencyEntry(1, {"end_to_end": stage, "light": stage}),
        LatencyEntry(2, {"light": stage | {"n": 10}}),
    )
    session = dataclasses.replace(whole, events=(*whole.events, *entries))
    latency = summarise(session, unblind=True).latency
    assert latency["end_to_end"]["n"] == 9
    assert latency["light"]["n"] == 10
