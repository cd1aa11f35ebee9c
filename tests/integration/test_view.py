"""Views that the shipped engines know and those that they do not, from the picture to the rule and its replay."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from support.arming import arm
from support.commandline import run
from support.rigs import FIRING_OFTEN
from support.waits import LONG_S, wait_until

from rtface.bench.agreed import ensure_parity
from rtface.client import Client
from rtface.config import BackendSettings, Faults, Rig
from rtface.config.rigfile import load_rig
from rtface.core.decision import Reason
from rtface.core.errors import ControlError
from rtface.core.records import KNOWN_VIEW, Crop, FloatArray, FrameMeta, Image
from rtface.decide.viewdoubt import ViewDoubt
from rtface.learn.engines.no_face import no_face_pictures
from rtface.live.service import Service
from rtface.offline.replay.rules import replay_rules
from rtface.record import formats
from rtface.record.session.reader import read_session
from rtface.simulate.face import MouseFace
from rtface.track.pictures import PictureTracker
from rtface.track.store import DEFAULT_ENGINE, Engine, load_engine, shipped_folder

SETTINGS = BackendSettings(threads=1)
FREE = "tcp://127.0.0.1:*"


@pytest.fixture(scope="module", params=["face-2", "face-2-int8", "face-2-tiny", "face-3-int8"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return load_engine(str(shipped_folder() / request.param))


@pytest.fixture(scope="module")
def default() -> Engine:
    return load_engine(str(shipped_folder() / DEFAULT_ENGINE))


def views(engine: Engine, images: Sequence[Image], crop: Crop | None = None) -> tuple[FloatArray, FloatArray]:
    """Return `view_ok` of each picture, and the highest score of a keypoint in it."""
    with PictureTracker(engine, SETTINGS, crop) as tracker:
        poses = [tracker.track(image) for image in images]
    return (
        np.array([pose.view_ok for pose in poses], np.float32),
        np.array([pose.score.max() for pose in poses], np.float32),
    )


def mice(frames: range, seed: int = 0, width: int = 640, height: int = 480) -> list[Image]:
    mouse, images = MouseFace(width, height, 50.0, seed), []
    for number in frames:
        images.append(np.zeros((height, width), np.uint8))
        mouse.render(number, images[-1])
    return images


def read(folder: Path, pattern: str = "*") -> list[Image]:
    found = [cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in sorted(folder.glob(pattern))]
    assert found, folder
    return [image.astype(np.uint8) for image in found if image is not None]


def film(path: Path, every: int) -> list[Image]:
    av = pytest.importorskip("av")
    with av.open(str(path)) as container:
        return [
            frame.to_ndarray(format="gray")
            for number, frame in enumerate(container.decode(video=0))
            if number % every == 0
        ]


def test_simulated_mice_are_known(engine: Engine) -> None:
    for seed in (0, 7):
        view_ok, _ = views(engine, mice(range(0, 1500, 50), seed))
        assert (view_ok >= KNOWN_VIEW).all(), view_ok.min()


def test_pictures_without_a_face_are_unknown(engine: Engine) -> None:
    bank = no_face_pictures(192, 256)
    view_ok, _ = views(engine, list(bank.values()))
    assert dict(zip(bank, view_ok, strict=True)) == {name: pytest.approx(0, abs=0.4) for name in bank}
    assert (view_ok < KNOWN_VIEW).all()


def test_a_face_that_is_upside_down_or_much_too_small_is_unknown(engine: Engine) -> None:
    images = mice(range(0, 1500, 100))
    upside_down, _ = views(engine, [image[::-1] for image in images])
    assert np.median(upside_down) < KNOWN_VIEW
    far = []
    for image in images:
        far.append(np.full_like(image, int(np.median(image))))
        far[-1][:120, :160] = cv2.resize(image, (160, 120), interpolation=cv2.INTER_AREA)
    small, _ = views(engine, far)
    assert np.mean(small < KNOWN_VIEW) > 0.9


def test_the_home_rig_is_known(engine: Engine, shared_data: Path) -> None:
    images = read(shared_data / "mouse_face_side_view" / "frames")
    view_ok, _ = views(engine, images)
    assert (view_ok >= KNOWN_VIEW).all(), view_ok.min()
    mirrored, _ = views(engine, [image[:, ::-1] for image in images[::10]])
    assert (mirrored >= KNOWN_VIEW).all(), mirrored.min()


@pytest.mark.parametrize(
    "what", ["body", "left", "right", "whiskers from above", "rat from above", "from below"]
)
@pytest.mark.parametrize(("name", "sure"), [("face-2-int8", 0.85), ("face-3-int8", 0.8)])
def test_the_danger_list_is_unknown(name: str, sure: float, shared_data: Path, what: str) -> None:
    """A score of 0.80 to 0.99 on an ear, a screw, whiskers from above, a body."""
    if what in ("body", "left", "right"):
        images = list(np.load(shared_data / "ibl_frames" / f"frames_{what}.npy"))
    elif what == "whiskers from above":
        images = film(shared_data / "whisker_videos" / "test_video2.mp4", 20)
    elif what == "rat from above":
        images = read(shared_data / "other_rigs" / "tufts_rat_whisking" / "frames")
    else:
        images = read(shared_data / "other_rigs" / "aind_bottom_face_pseudo" / "frames")
    view_ok, highest = views(load_engine(str(shipped_folder() / name)), images)
    assert highest.max() > sure, "the case: it is sure of a point"
    assert (view_ok < KNOWN_VIEW).all(), view_ok.max()


@pytest.mark.parametrize(
    ("folder", "pattern", "crop"),
    [
        ("other_rigs/ibl/frames", "ibl_right*", Crop(369, 48, 271, 271, True)),
        ("other_rigs/cheese3d/frames", "*", Crop(238, 177, 360, 335, True)),
        ("mouse_hand_tongue_labelled/labeled-data/reachingvideo1", "img1*.png", None),
    ],
    ids=["IBL right", "cheese3d", "reaching"],
)
def test_other_rigs_that_are_well_cropped_are_known(
    default: Engine, shared_data: Path, folder: str, pattern: str, crop: Crop | None
) -> None:
    images = read(shared_data / folder, pattern)
    shape = max({image.shape for image in images})
    view_ok, _ = views(default, [image for image in images if image.shape == shape], crop)
    assert (view_ok >= KNOWN_VIEW).all(), view_ok.min()


def test_most_frames_of_a_rig_that_shows_half_a_face_are_known(default: Engine, shared_data: Path) -> None:
    """A pupil camera: nose and mouth are cut off, and the picture is stretched by 1.6."""
    images = film(shared_data / "mouse_face_pupil_video" / "sample_video.mp4", 5)
    view_ok, _ = views(default, images, Crop(215, 0, 585, 480, True))
    assert np.mean(view_ok >= KNOWN_VIEW) > 0.7


def verified(service: Service, rig: Rig) -> None:
    """Verify the engine on frames of the mouse without the faults of the camera."""
    ensure_parity(service.engine, rig.backend, rig.camera.model_copy(update={"faults": Faults()}))


def covered(image: Image, to: float) -> Image:
    """Return a picture that something like fur covers from the left to a column."""
    random = np.random.default_rng(0)
    fur = np.clip(random.normal(150, 12, image.shape), 0, 255).astype(np.uint8)
    fur[:, max(0, int(to)) :] = image[:, max(0, int(to)) :]
    return fur


def test_what_covers_the_face_bit_by_bit_is_told_from_another_view(default: Engine) -> None:
    """Muzzle, half of the eye, all of it; another view comes at once."""
    told: dict[str, Counter[Reason | None]] = {}
    with PictureTracker(default, SETTINGS) as tracker:
        for seed in (0, 3):
            mouse = MouseFace(640, 480, 50.0, seed)
            for number, image in zip(range(0, 600, 60), mice(range(0, 600, 60), seed), strict=True):
                truth = np.asarray(mouse.truth(number))[:, :2]
                left, right = np.nanmin(truth[:, 0]), truth[:4, 0].max()
                width = right - left
                shown = {
                    "nose": covered(image, left + 0.3 * width),
                    "half the eye": covered(image, left + 0.8 * width),
                    "all": covered(image, left + 1.1 * width),
                    "upside down": image[::-1],
                }
                doubts = ViewDoubt(KNOWN_VIEW)
                for step, (name, picture) in enumerate({"before": image, **shown}.items()):
                    meta = FrameMeta(step, step * 10_000_000, step * 10_000_000)
                    pose = replace(tracker.track(picture), frame=meta)
                    told.setdefault(name, Counter())[doubts.doubt(pose, pose.view_ok)] += 1
    assert told["before"] == told["nose"] == {None: 20}
    assert told["half the eye"][Reason.OCCLUDED] >= 16
    assert told["half the eye"][Reason.UNKNOWN_VIEW] <= 4, "withheld either way"
    assert told["all"] == {Reason.UNKNOWN_VIEW: 20}
    assert told["upside down"][Reason.UNKNOWN_VIEW] >= 18


@pytest.fixture
def rig_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))
    path = tmp_path / "rig.yaml"
    settings = {
        "camera": {"kind": "simulated", "width": 320, "height": 240, "rate_hz": 20, "faults": {"black": 0.3}},
        "backend": {"name": "openvino"},
        "rules": "rules.yaml",
        "output": {"kind": "log", "path": "light.txt"},
        "session": {"folder": "sessions", "min_free_gb": 0},
        "arming": {"frame_timeout_ms": 5000},
        "publish": {"keypoints": FREE, "control": FREE},
    }
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    path.with_name("rules.yaml").write_text(FIRING_OFTEN, encoding="utf-8")
    return path


def test_rules_withhold_on_black_frames_and_a_replay_decides_the_same(rig_file: Path) -> None:
    rig = load_rig(rig_file)
    with Service(rig) as service:
        verified(service, rig)
        with Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client:
            client.hello()
            arm(client)
            seen, reasons = [], Counter[str]()
            while min(reasons["rule"], reasons["unknown_view"]) < 3:
                message = client.next(LONG_S)
                assert message is not None
                seen.append(message.view_ok)
                reasons.update(each.details["reason"] for each in client.events() if each.kind == "decision")
            client.disarm("test")
            wait_until(lambda: service.arming.state()["state"] == "disarmed")
    assert min(seen) < 0.1 < 0.9 < max(seen)
    (folder,) = (rig_file.parent / "sessions").iterdir()
    session = read_session(folder)
    replayed = replay_rules(folder)
    assert (replayed.value, replayed.decision, replayed.hole) == (None, None, None)
    table = session.pose_table()
    assert table.view_ok is not None
    black = table.view_ok < KNOWN_VIEW
    assert 0.05 < black.mean() < 0.7
    withheld = {each.frame_id for each in session.decisions if each.reason == "unknown_view"}
    fired = {each.frame_id for each in session.decisions if each.action == "fire"}
    assert withheld <= set(table.frame_id[black].tolist())
    assert fired <= set(table.frame_id[~black].tolist())
    hashes = [each.sha256 for each in session.events if each.name == "hashes"]
    assert "view" in hashes[0]


@pytest.mark.parametrize("any_view", [False, True])
def test_nothing_is_armed_on_an_unknown_view_unless_the_rig_says_so(rig_file: Path, any_view: bool) -> None:
    settings = yaml.safe_load(rig_file.read_text("utf-8"))
    settings["camera"]["faults"] = {"black": 1.0}
    settings["arming"]["any_view"] = any_view
    rig_file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    rig = load_rig(rig_file)
    with Service(rig) as service:
        verified(service, rig)
        with Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client:
            client.hello()
            wait_until(lambda: service.status()["frames"] > 0 and service.status()["rate_hz"] > 0)
            assert service.status()["view_ok"] < KNOWN_VIEW
            if any_view:
                arm(client)
            else:
                with pytest.raises(ControlError, match=r"view: 0\.00 in the median"):
                    arm(client)


def test_tracking_says_how_many_frames_show_a_known_view(tmp_path: Path) -> None:
    frames = tmp_path / "film"
    frames.mkdir()
    for number, image in enumerate([*mice(range(0, 600, 100)), *[np.zeros((480, 640), np.uint8)] * 2]):
        cv2.imwrite(str(frames / f"{number:03}.png"), image)
    out = tmp_path / "film.rtface.h5"
    ended = run("track", str(frames), "--out", str(out), "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["known_view"] == 0.75
    table = formats.read(out)
    assert table.view_ok is not None
    np.testing.assert_array_equal(table.view_ok >= KNOWN_VIEW, [True] * 6 + [False] * 2)
    again = tmp_path / "film.csv"
    assert run("track", str(frames), "--out", str(again)).returncode == 0
    assert "view" not in again.read_text("utf-8").splitlines()[1], "DeepLabCut's form has no place for it"
