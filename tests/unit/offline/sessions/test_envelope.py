"""Envelopes: the least and the largest of every stretch, however long the recording is."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtface.offline.sessions.envelope import Envelope, EnvelopeBuilder


def built(values: np.ndarray, parts: list[int], **options: int) -> Envelope:
    builder = EnvelopeBuilder(values.shape[1], **options)
    times = np.arange(len(values), dtype=np.int64) * 10
    at = 0
    for part in (*parts, len(values)):
        builder.add(times[at : at + part], values[at : at + part])
        at += part
    return builder.envelope()


@given(
    st.integers(0, 400),
    st.lists(st.integers(0, 90), max_size=6),
    st.integers(1, 40),
    st.sampled_from([64, 4_000_000]),
)
@settings(max_examples=150, deadline=None)
def test_each_stretch_has_the_least_and_the_largest_of_its_rows(
    count: int, parts: list[int], points: int, most_cells: int
) -> None:
    random = np.random.default_rng(count)
    values = random.normal(0, 1, (count, 2)).astype(np.float32)
    values[random.random((count, 2)) < 0.2] = np.nan
    starts, low, high = built(values, parts, finest=4, most_cells=most_cells).part(
        -1, 10 * count, points, np.arange(2)
    )
    assert len(starts) <= points
    assert low.shape == high.shape == (len(starts), 2)
    edges = [*(starts // 10), count]
    for number, (begin, end) in enumerate(itertools.pairwise(edges)):
        np.testing.assert_array_equal(low[number], np.fmin.reduce(values[begin:end]))
        np.testing.assert_array_equal(high[number], np.fmax.reduce(values[begin:end]))
    assert edges[0] == 0


def test_what_is_kept_does_not_grow_with_the_recording() -> None:
    builder = EnvelopeBuilder(1, finest=2, most_cells=100)
    for block in range(200):
        times = np.arange(block * 50, block * 50 + 50, dtype=np.int64)
        builder.add(times, times[:, None].astype(np.float32))
    envelope = builder.envelope()
    assert 25 < len(envelope.starts) <= 101
    _, low, high = envelope.part(0, 10**6, 1, np.array([0]))
    assert (low.min(), high.max()) == (0, 9999)


@pytest.mark.parametrize(("begin", "end"), [(95, 205), (100, 200), (0, 5), (3990, 9999), (500, 500)])
def test_a_part_begins_before_and_ends_after_what_was_asked_for(begin: int, end: int) -> None:
    values = np.arange(400, dtype=np.float32)[:, None]
    whole = built(values, [], finest=4)
    starts, low, _ = whole.part(begin, end, 1000, np.array([0]))
    assert starts[0] <= max(begin, 0)
    assert starts[-1] >= end or starts[-1] == whole.starts[-1]
    np.testing.assert_array_equal(low[:, 0], starts / 10)
    assert len(starts) <= (end - begin) / 40 + 3
