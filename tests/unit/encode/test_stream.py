from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.encoders import ARCHITECTURES, CAUSAL, FACEMAP, NAMES, made_encoder, made_states, walk

from rtface.core.errors import EngineError, UsageError
from rtface.core.records import FloatArray
from rtface.encode.bundle import EncoderBundle
from rtface.encode.grid import rows_of
from rtface.encode.states import StateFilter
from rtface.encode.stream import StreamingEncoder

ROW_NS = 20_000_000
SURE = np.ones(len(NAMES), np.float32)
TOLERANCE = 1e-5


@dataclass
class Told:
    """A prediction, copied."""

    row: int
    exposure_ns: int
    outputs: FloatArray
    latents: FloatArray
    warm: bool
    state: int | None
    probability: NDArray[np.float64] | None


def streamed(
    stream: StreamingEncoder, xy: FloatArray, times: list[int], score: FloatArray | None = None
) -> dict[int, Told]:
    """Return what was predicted at each frame that brought a prediction."""
    told = {}
    for frame, (points, time_ns) in enumerate(zip(xy, times, strict=True)):
        found = stream.step(points, SURE if score is None else score[frame], time_ns, frame)
        if found is not None:
            told[frame] = Told(
                found.row,
                found.exposure_ns,
                found.outputs.copy(),
                found.latents.copy(),
                found.warm,
                found.state,
                None if found.probability is None else found.probability.copy(),
            )
    return told


def network(bundle: EncoderBundle, inputs: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return outputs and latents of all rows by the network that was trained, in torch."""
    torch = pytest.importorskip("torch", reason="the reference is torch's")
    from rtface.learn.encoder.compare import encoder_network

    with torch.no_grad():
        outputs, latents = encoder_network(bundle)(torch.from_numpy(inputs))
    return outputs.numpy(), latents.numpy()


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=str)
def test_a_stream_is_the_offline_network_at_every_frame(architecture: dict[str, Any], tmp_path: Path) -> None:
    bundle = made_encoder(tmp_path / "enc", architecture)
    xy = walk(460)
    inputs = bundle.normaliser().run(xy.reshape(len(xy), -1))
    outputs, latents = network(bundle, inputs)
    assert outputs.std() > 0.1
    ahead = bundle.manifest.look_ahead_frames
    told = streamed(StreamingEncoder(bundle, NAMES, 50.0), xy, [row * ROW_NS for row in range(len(xy))])
    assert list(told) == list(range(ahead, len(xy)))
    window = bundle.manifest.past_frames + 1 + ahead
    for frame, found in told.items():
        assert found.row == frame - ahead
        assert found.exposure_ns == (frame - ahead) * ROW_NS
        assert found.warm == (frame + 1 >= window)
        np.testing.assert_allclose(found.outputs, outputs[frame - ahead], atol=TOLERANCE)
        np.testing.assert_allclose(found.latents, latents[frame - ahead], atol=TOLERANCE)


GAPS = st.one_of(st.just(0), st.integers(1, 6), st.just(50), st.just(51), st.integers(60, 500))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    architecture=st.sampled_from([CAUSAL, {**CAUSAL, "look_ahead": 4}, FACEMAP]),
    per_row=st.sampled_from([1, 2, 4]),
    runs=st.lists(st.tuples(GAPS, st.integers(1, 40)), min_size=1, max_size=6),
    jitter=st.floats(0, 0.2),
    seed=st.integers(0, 1000),
)
def test_whatever_the_gaps_it_is_the_offline_network_on_rows_with_holes(
    architecture: dict[str, Any],
    per_row: int,
    runs: list[tuple[int, int]],
    jitter: float,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The rows are known here by how the frames were made, not by `RowGrid`."""
    bundle = _bundle(architecture, tmp_path_factory)
    random = np.random.default_rng(seed)
    states = made_states()
    present: list[int] = []
    row = 0
    for gap, length in runs:
        row += gap
        present += range(row, row + length)
        row += length
    ticks = [(each, phase) for each in present for phase in range(per_row)]
    late = random.uniform(-jitter, jitter, len(ticks)) / per_row
    times = [
        10**9 + round(ROW_NS * (each + phase / per_row + off))
        for (each, phase), off in zip(ticks, late, strict=True)
    ]
    xy = walk(len(ticks), seed)
    told = streamed(StreamingEncoder(bundle, NAMES, 50.0 * per_row, states=states), xy, times)

    normaliser, ahead = bundle.normaliser(), bundle.manifest.look_ahead_frames
    frames = {each: frame for frame, (each, phase) in enumerate(ticks) if phase == 0}
    stretches: list[list[int]] = []
    for before, each in zip([-1000, *present[:-1]], present, strict=True):
        if each - before > 51:
            stretches.append([])
        stretches[-1].append(each)
    expected: dict[int, tuple[int, FloatArray, FloatArray, int | None, Any]] = {}
    for stretch in stretches:
        raw = np.full((stretch[-1] - stretch[0] + 1, 2 * len(NAMES)), np.nan, np.float32)
        for each in stretch:
            raw[each - stretch[0]] = xy[frames[each]].reshape(-1)
        normaliser.interrupt()
        inputs = normaliser.run(raw)
        outputs, latents = network(bundle, inputs)
        filtered, window = StateFilter(states), bundle.manifest.past_frames + 1 + ahead
        for at in range(ahead, len(raw)):
            about, state, probability = at - ahead, None, None
            if at + 1 >= window:
                seen = stretch[0] + about in frames
                probability = filtered.step(latents[about] if seen else np.full(9, np.nan)).copy()
                state = filtered.state
            if stretch[0] + at in frames:
                expected[frames[stretch[0] + at]] = (
                    about,
                    outputs[about],
                    latents[about],
                    state,
                    probability,
                )

    assert list(told) == list(expected)
    for frame, (about, outputs_there, latents_there, state, probability) in expected.items():
        found = told[frame]
        assert found.row == about
        np.testing.assert_allclose(found.outputs, outputs_there, atol=TOLERANCE)
        np.testing.assert_allclose(found.latents, latents_there, atol=TOLERANCE)
        assert (found.state is None) == (state is None)
        if probability is not None:
            np.testing.assert_allclose(found.probability, probability, atol=1e-4)


_MADE: dict[str, EncoderBundle] = {}


def _bundle(architecture: dict[str, Any], folder: pytest.TempPathFactory) -> EncoderBundle:
    if str(architecture) not in _MADE:
        _MADE[str(architecture)] = made_encoder(folder.mktemp("made") / "enc", architecture)
    return _MADE[str(architecture)]


@pytest.mark.parametrize("per_row", [1, 4, 2.4])
def test_the_rows_of_a_recording_are_those_of_the_stream(tmp_path: Path, per_row: float) -> None:
    bundle = made_encoder(tmp_path / "enc")
    camera_hz = 50.0 * per_row
    random = np.random.default_rng(3)
    kept = np.sort(random.choice(800, 600, replace=False))
    times = np.round(kept * 1e9 / camera_hz + random.uniform(0, 1e6, len(kept))).astype(np.int64)
    times[300:] += 1_500_000_000
    xy = walk(len(kept))
    parts = rows_of(xy.reshape(len(xy), -1), times, 50.0, camera_hz)
    assert len(parts) == 2
    told = streamed(StreamingEncoder(bundle, NAMES, camera_hz), xy, times.tolist())
    normaliser = bundle.normaliser()
    compared = 0
    for rows, frames in parts:
        normaliser.interrupt()
        outputs, _ = network(bundle, normaliser.run(rows))
        for row, frame in enumerate(frames.tolist()):
            if frame >= 0:
                np.testing.assert_allclose(told[frame].outputs, outputs[row], atol=TOLERANCE)
                compared += 1
    assert compared == len(told)


def test_a_camera_that_is_a_little_fast_slow_or_unsteady_loses_no_row(tmp_path: Path) -> None:
    bundle = made_encoder(tmp_path / "enc")
    random = np.random.default_rng(0)
    for off in (0.995, 1.0, 1.005):
        stream = StreamingEncoder(bundle, NAMES, 50.0)
        times = np.arange(3000) * ROW_NS * off + random.uniform(-0.3, 0.3, 3000) * ROW_NS
        assert len(streamed(stream, walk(3000), times.astype(np.int64).tolist())) == 3000
        assert (stream.lost, stream.restarts) == (0, 0)


def test_frames_out_of_order_are_passed_over_and_time_that_goes_back_begins_anew(tmp_path: Path) -> None:
    stream = StreamingEncoder(made_encoder(tmp_path / "enc"), NAMES, 50.0)
    xy = walk(40)
    streamed(stream, xy[:30], [10**10 + row * ROW_NS for row in range(30)])
    assert stream.step(xy[30], SURE, 10**10 + 29 * ROW_NS) is None
    assert stream.step(xy[30], SURE, 10**10) is None
    assert (stream.rows, stream.restarts) == (30, 0)
    found = stream.step(xy[31], SURE, 5 * 10**9)
    assert found is not None
    assert (found.row, found.warm, stream.restarts) == (0, False, 1)


def test_what_changed_before_the_window_is_forgotten_and_what_is_in_it_is_not(tmp_path: Path) -> None:
    bundle = made_encoder(tmp_path / "enc", normalise={
        "jump_px": 1e6, "deviation_px": 1e6, "median_frames": 1, "memory_s": None, "reference_s": 10, "limit": 6,
    })  # fmt: skip
    window = bundle.manifest.past_frames + 1
    xy, other = np.nan_to_num(walk(100), nan=30), np.nan_to_num(walk(100), nan=30)
    other[40] += 9
    times = [row * ROW_NS for row in range(100)]
    one, two = (streamed(StreamingEncoder(bundle, NAMES, 50.0), each, times) for each in (xy, other))
    differ = [frame for frame in one if not np.array_equal(one[frame].outputs, two[frame].outputs)]
    assert differ[0] == 40
    assert differ[-1] == 40 + window - 1


def test_scores_and_faces_out_of_distribution(tmp_path: Path) -> None:
    bundle = made_encoder(tmp_path / "enc")
    stream = StreamingEncoder(bundle, NAMES, 50.0)
    still = np.full((3, 2), 30, np.float32)
    usual = [stream.step(still, 0.9 * SURE, row * ROW_NS) for row in range(60)][-1]
    assert usual is not None
    assert usual.score == pytest.approx(0.9, abs=1e-6)
    assert usual.ood == pytest.approx(0, abs=1e-6)
    assert not usual.out_of_distribution
    # Every second row is lost: half of the inputs of the last second were not seen.
    half = [stream.step(still, SURE, (60 + 2 * row) * ROW_NS) for row in range(60)][-1]
    assert half is not None
    assert half.score == pytest.approx(0.5, abs=0.02)
    # 5 px are one standard deviation; 20 px off in x and y of every point are four, over a limit of three.
    away = StreamingEncoder(bundle, NAMES, 50.0)
    ood = [away.step(still + 20, SURE, row * ROW_NS) for row in range(20)][-1]
    assert ood is not None
    assert ood.out_of_distribution
    assert 1.1 < ood.ood < 4 / 3 + 1e-6
    assert ood.score == pytest.approx(1 / ood.ood)


def test_points_of_low_score_are_held_if_that_is_asked_for(tmp_path: Path) -> None:
    bundle = made_encoder(tmp_path / "enc")
    xy, score = np.nan_to_num(walk(60), nan=30), np.ones((60, 3), np.float32)
    score[50:, 1] = 0.2
    times = [row * ROW_NS for row in range(60)]
    gone = xy.copy()
    gone[50:, 1] = np.nan
    gated = streamed(StreamingEncoder(bundle, NAMES, 50.0, min_score=0.3), xy, times, score)
    blind = streamed(StreamingEncoder(bundle, NAMES, 50.0), gone, times)
    plain = streamed(StreamingEncoder(bundle, NAMES, 50.0), xy, times, score)
    assert np.array_equal(gated[59].outputs, blind[59].outputs)
    assert not np.array_equal(gated[59].outputs, plain[59].outputs)


def test_neurons_are_the_readouts_at_the_neural_rate(tmp_path: Path) -> None:
    bundle = made_encoder(tmp_path / "enc")
    stream = StreamingEncoder(bundle, NAMES, 50.0)
    due = []
    for row, xy in enumerate(walk(500)):
        found = stream.step(xy, SURE, row * ROW_NS)
        assert found is not None
        due += [row] if found.neural else []
        readout = bundle.readout
        assert readout.basis is not None
        whole = (readout.basis @ found.outputs) * readout.sd + readout.mean
        np.testing.assert_allclose(stream.neurons(found), whole, rtol=1e-5, atol=1e-5)
        some = np.array([4, 1])
        np.testing.assert_allclose(stream.neurons(found, some), whole[some], rtol=1e-5, atol=1e-5)
    assert len(due) == 1 + int(500 / 50 * 3)
    assert set(np.diff(due[1:])) == {16, 17}


def test_a_lost_row_does_not_take_its_neural_sample_with_it(tmp_path: Path) -> None:
    stream = StreamingEncoder(made_encoder(tmp_path / "enc"), NAMES, 50.0)
    rows = [row for row in range(300) if row % 16 > 2]
    found = [stream.step(walk(1)[0], SURE, row * ROW_NS) for row in rows]
    assert sum(each is not None for each in found) == len(rows)
    neural = 0
    stream = StreamingEncoder(made_encoder(tmp_path / "other"), NAMES, 50.0)
    for row in rows:
        each = stream.step(walk(1)[0], SURE, row * ROW_NS)
        neural += each is not None and each.neural
    assert neural == 1 + int((rows[-1] - rows[0] + 1) / 50 * 3)


def test_states_of_the_bundle_are_filtered_from_the_first_warm_row(tmp_path: Path) -> None:
    states = made_states(every=3)
    bundle = made_encoder(tmp_path / "enc", states=states)
    window = bundle.manifest.past_frames + 1
    told = streamed(StreamingEncoder(bundle, NAMES, 50.0), walk(80), [row * ROW_NS for row in range(80)])
    alone = StateFilter(states)
    for frame, found in told.items():
        if frame >= window - 1:
            alone.step(found.latents)
        if frame < window + 1:
            assert found.state is None
            assert found.probability is None
        else:
            assert found.state == alone.state
            np.testing.assert_array_equal(found.probability, alone.probability)


def test_what_does_not_fit_is_refused_with_file_and_field(tmp_path: Path) -> None:
    bundle = made_encoder(tmp_path / "enc")
    with pytest.raises(EngineError, match=r"encoder\.json: keypoints: .*'mouth'.*nose\(tip\), eye\(back\)"):
        StreamingEncoder(bundle, ("nose(tip)", "eye(back)"), 50.0)
    with pytest.raises(
        EngineError, match=r"encoder\.json: frame_rate_hz: 30 frames a second are too few for 50"
    ):
        StreamingEncoder(bundle, NAMES, 30.0)
    with pytest.raises(
        EngineError, match=r"encoder\.json: latents: the encoder has 9, the state model is of 5"
    ):
        StreamingEncoder(bundle, NAMES, 50.0, states=made_states(latents=5))
    running = StreamingEncoder(made_encoder(tmp_path / "run", extras=("run",)), NAMES, 50.0)
    with pytest.raises(UsageError, match="0 further inputs, but the encoder takes 1"):
        running.step(walk(1)[0], SURE, 0)
    assert running.step(walk(1)[0], SURE, ROW_NS, extras=(3.0,)) is not None


def test_the_order_of_the_engines_points_does_not_matter(tmp_path: Path) -> None:
    bundle = made_encoder(tmp_path / "enc")
    xy, times = walk(50), [row * ROW_NS for row in range(50)]
    turned = np.concatenate([xy[:, [2, 0]], np.full((50, 1, 2), 7, np.float32), xy[:, [1]]], axis=1)
    names = (NAMES[2], NAMES[0], "paw", NAMES[1])
    one = streamed(StreamingEncoder(bundle, NAMES, 50.0), xy, times)
    two = streamed(StreamingEncoder(bundle, names, 50.0), turned, times, np.ones((50, 4), np.float32))
    assert np.array_equal(one[49].outputs, two[49].outputs)


def test_the_stream_leaves_the_bundles_weights_alone(tmp_path: Path) -> None:
    bundle = made_encoder(tmp_path / "enc")
    before = {name: array.copy() for name, array in bundle.weights.items()}
    streamed(StreamingEncoder(bundle, NAMES, 50.0), walk(5), [row * ROW_NS for row in range(5)])
    for name, array in before.items():
        np.testing.assert_array_equal(bundle.weights[name], array)


def test_streaming_needs_no_torch(tmp_path: Path) -> None:
    bundle = made_encoder(tmp_path / "enc")
    code = (
        "import sys; import numpy as np; from pathlib import Path; from rtface.encode.bundle import load_encoder;"
        "from rtface.encode.stream import StreamingEncoder;"
        f"stream = StreamingEncoder(load_encoder(Path({str(bundle.folder)!r})), {NAMES!r}, 50.0);"
        "assert stream.step(np.zeros((3, 2), np.float32), np.ones(3, np.float32), 1) is not None;"
        "print([name for name in ('torch', 'scipy', 'sklearn', 'rtface.learn') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
