"""Whatever is sealed and whatever is not: opened, a log gives back events and frames in the order in which they were recorded."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.session_parts import START_NS

from rtface.core.features import Features
from rtface.record.seal.cipher import read_key
from rtface.record.seal.merging import without_seeds
from rtface.record.session.entries import LatencyEntry, MarkEntry
from rtface.record.session.packing import Packer
from rtface.record.session.reader import read_session
from rtface.record.session.reading import iterate
from rtface.record.session.rows import FEATURES, RowBatch
from rtface.record.session.verify import verify
from rtface.record.session.writer import SessionWriter

PACKER = Packer(2, 1)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(["clear", "sealed", "frame"]), max_size=120))
def test_the_order_of_an_opened_log_is_that_of_the_calls(calls: list[str]) -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "s"
        writer = SessionWriter(
            folder, "x", PACKER.widths, min_free_bytes=0, reserve_bytes=1 << 20, sealed=True
        )
        writer.open()
        for number, call in enumerate(calls):
            if call == "frame":
                values = Features(np.ones(1), np.ones(1), np.ones(1, np.int64))
                assert writer.put_row(FEATURES, PACKER.features(number, START_NS, values))
            else:
                put = writer.put_sealed if call == "sealed" else writer.put
                assert put(MarkEntry(START_NS, call, str(number)))
        assert writer.close()
        key = read_key(folder)
        found: list[tuple[str, int]] = []
        for each in iterate(folder, key):
            if isinstance(each, MarkEntry):
                found.append((each.who, int(each.text)))
            elif isinstance(each, RowBatch):
                found += [("frame", int(number)) for number in each.rows["frame_id"]]
        assert found == [(call, number) for number, call in enumerate(calls)]
        marks = [(each.who, int(each.text)) for each in read_session(folder, key).of(MarkEntry)]
        assert marks == [each for each in found if each[0] != "frame"]
        seal = [each for each in verify(read_session(folder, key)) if each.check in ("seal", "totals")]
        assert {each.verdict for each in seal} == {"whole"}


def test_the_latency_of_light_is_put_back_beside_that_of_the_frames(tmp_path: Path) -> None:
    writer = SessionWriter(tmp_path / "s", "x", PACKER.widths, min_free_bytes=0, sealed=True)
    writer.open()
    for t_ns in (START_NS, START_NS + 10**9):
        writer.put_sealed(LatencyEntry(t_ns, {"light": {"n": t_ns}}))
        writer.put(LatencyEntry(t_ns, {"network": {"n": 1}}))
    assert writer.close()
    closed = read_session(tmp_path / "s").last(LatencyEntry)
    opened = read_session(tmp_path / "s", read_key(tmp_path / "s")).last(LatencyEntry)
    assert closed is not None
    assert opened is not None
    assert set(closed.stages) == {"network"}
    assert opened.stages == {"network": {"n": 1}, "light": {"n": START_NS + 10**9}}


@pytest.mark.parametrize("resolved", ["", '{"rules": {"a": {"schedule": null}}}'])
def test_rules_without_drawn_seeds_have_none_to_hide(resolved: str) -> None:
    left, seeds = without_seeds(resolved)
    assert seeds == {}
    assert bool(left) == bool(resolved)
