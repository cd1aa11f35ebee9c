from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.fakes import engine_fields

from rtface.core.errors import EngineError
from rtface.track import store
from rtface.track.store import (
    DEFAULT_ENGINE,
    MANIFEST_FILE,
    Engine,
    find_engine,
    installed_engines,
    load_engine,
    write_engine,
)

MODEL = b"a network" * 1000


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Path]:
    made = {"model.onnx": tmp_path / "made.onnx", "weights.pt": tmp_path / "made.pt"}
    made["model.onnx"].write_bytes(MODEL)
    made["weights.pt"].write_bytes(b"weights")
    return made


@pytest.fixture
def engine(tmp_path: Path, sources: dict[str, Path]) -> Engine:
    return write_engine(tmp_path / "engines" / "small-1", sources, engine_fields())


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Empty folders of the user's and the shipped engines."""
    user, shipped = tmp_path / "user", tmp_path / "shipped"
    monkeypatch.setenv("RTFACE_ENGINES", str(user))
    monkeypatch.setattr(store, "shipped_folder", lambda: shipped)
    return user, shipped


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def edit(engine: Engine, **changes: Any) -> None:
    path = engine.folder / MANIFEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_written_can_be_loaded(engine: Engine) -> None:
    loaded = load_engine(str(engine.folder))
    assert loaded == engine
    assert loaded.manifest.name == "small-1"
    assert loaded.file("model.onnx").read_bytes() == MODEL
    assert loaded.manifest.files["model.onnx"].sha256 == hashlib.sha256(MODEL).hexdigest()
    assert loaded.manifest.files["model.onnx"].bytes == len(MODEL)
    assert loaded.sha256 == hashlib.sha256((engine.folder / MANIFEST_FILE).read_bytes()).hexdigest()
    assert [path.name for path in engine.folder.parent.iterdir()] == ["small-1"]
    with pytest.raises(EngineError, match=r"small-1 .* has no plan\.trt"):
        loaded.file("plan.trt")


def test_a_missing_file_is_named(engine: Engine) -> None:
    engine.file("weights.pt").unlink()
    with pytest.raises(EngineError, match=r"weights\.pt is missing: .*small-1 is incomplete"):
        load_engine(str(engine.folder))


def test_a_truncated_file_is_named(engine: Engine) -> None:
    engine.file("model.onnx").write_bytes(MODEL[:-1])
    with pytest.raises(EngineError, match=rf"model\.onnx has {len(MODEL) - 1} bytes, .* says {len(MODEL)}"):
        load_engine(str(engine.folder))


@pytest.mark.parametrize("position", [0, 4500, len(MODEL) - 1])
def test_one_changed_bit_is_noticed(engine: Engine, position: int) -> None:
    changed = bytearray(MODEL)
    changed[position] ^= 1
    engine.file("model.onnx").write_bytes(changed)
    with pytest.raises(EngineError, match=r"model\.onnx does not have the hash"):
        load_engine(str(engine.folder))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rtface_engine": 2}, "rtface_engine: "),
        ({"colour": "grey"}, "colour: "),
        ({"keypoints": [{"name": "a"}, {"name": "a"}]}, "keypoints named twice: a"),
        ({"resample": {"half_pixel": False}}, "the manifest was edited"),
        ({"files": {"model.onnx": {"sha256": "0" * 64, "bytes": 1}, "../x": {"sha256": "0" * 64, "bytes": 1}}},
         "files outside the engine's folder"),
        ({"input": {"size": "large"}}, "input.size: "),
    ],
)  # fmt: skip
def test_a_manifest_that_breaks_a_rule_is_named(engine: Engine, changes: dict[str, Any], reason: str) -> None:
    edit(engine, **changes)
    with pytest.raises(EngineError) as caught:
        load_engine(str(engine.folder))
    assert str(engine.folder / MANIFEST_FILE) in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe", b"null", b'{"rtface_engine": 1}'])
def test_a_manifest_that_is_none_is_named(engine: Engine, text: bytes) -> None:
    (engine.folder / MANIFEST_FILE).write_bytes(text)
    with pytest.raises(EngineError, match=r"manifest\.json: "):
        load_engine(str(engine.folder))


def test_a_manifest_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"manifest\.json cannot be read: No such file"):
        store.read_manifest(tmp_path / MANIFEST_FILE)


def test_the_users_engines_come_before_those_shipped(
    places: tuple[Path, Path], sources: dict[str, Path]
) -> None:
    user, shipped = places
    assert installed_engines() == {}
    for name in (DEFAULT_ENGINE, "other"):
        write_engine(shipped / name, sources, engine_fields())
    assert find_engine("default") == shipped / DEFAULT_ENGINE
    write_engine(user / DEFAULT_ENGINE, sources, engine_fields())
    assert find_engine("default") == find_engine(DEFAULT_ENGINE) == user / DEFAULT_ENGINE
    assert find_engine("other") == shipped / "other"
    assert load_engine("default").folder == user / DEFAULT_ENGINE


def test_the_nearest_name_is_told(places: tuple[Path, Path], sources: dict[str, Path]) -> None:
    with pytest.raises(EngineError, match=rf"no engine is named '{DEFAULT_ENGINE}'; there are: none"):
        find_engine("default")
    for name in ("face-1", "quick"):
        write_engine(places[0] / name, sources, engine_fields())
    with pytest.raises(EngineError, match=r"no engine is named 'fase-1'; did you mean face-1\?"):
        load_engine("fase-1")
    with pytest.raises(EngineError, match=r"'zzz'; there are: face-1, quick"):
        load_engine("zzz")


def test_a_path_that_is_no_engine(places: tuple[Path, Path], tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(EngineError, match=f"{path} is not an engine: it holds no manifest.json"):
            find_engine(str(path))


def test_where_the_users_engines_lie(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path))
    assert store.user_folder() == tmp_path
    monkeypatch.delenv("RTFACE_ENGINES")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert store.user_folder() == tmp_path / "data" / "rtface" / "engines"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert store.user_folder() == tmp_path / "home" / ".local" / "share" / "rtface" / "engines"


def test_an_engine_is_not_overwritten_unasked(engine: Engine, sources: dict[str, Path]) -> None:
    before = contents(engine.folder.parent)
    with pytest.raises(EngineError, match="exists already"):
        write_engine(engine.folder, sources, engine_fields(size=96))
    assert contents(engine.folder.parent) == before


def test_an_engine_is_replaced_when_asked(engine: Engine, sources: dict[str, Path]) -> None:
    del sources["weights.pt"]
    fresh = write_engine(engine.folder, sources, engine_fields(size=96), overwrite=True)
    assert fresh.manifest.input.size == 96
    assert set(contents(engine.folder.parent)) == {"small-1/manifest.json", "small-1/model.onnx"}


def test_an_engine_can_be_made_of_its_own_files(engine: Engine) -> None:
    own = {name: engine.file(name) for name in engine.manifest.files}
    again = write_engine(engine.folder, own, engine_fields(size=96), overwrite=True)
    assert again.file("model.onnx").read_bytes() == MODEL


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("missing source", "cannot be written"),
        ("no model", "model.onnx"),
        ("bad field", "keypoints"),
        ("bad part", "size"),
        ("absent part", "no engine"),
        ("unknown field", "colour"),
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_failure_leaves_nothing_behind_and_the_old_engine_in_place(
    tmp_path: Path, engine: Engine, sources: dict[str, Path], fault: str, reason: str, overwrite: bool
) -> None:
    folder = engine.folder if overwrite else engine.folder.with_name("new")
    fields = engine_fields()
    match fault:
        case "missing source":
            sources["weights.pt"] = tmp_path / "nowhere"
        case "no model":
            del sources["model.onnx"]
        case "bad field":
            fields["keypoints"] = ()
        case "bad part":
            fields["input"] = {"size": 1}
        case "absent part":
            del fields["resample"]
        case "unknown field":
            fields["colour"] = "grey"
    before = contents(engine.folder.parent)
    with pytest.raises(EngineError, match=reason):
        write_engine(folder, sources, fields, overwrite=overwrite)
    assert contents(engine.folder.parent) == before
    assert [path.name for path in engine.folder.parent.iterdir()] == ["small-1"]


@pytest.mark.parametrize("error", [OSError("no space"), KeyboardInterrupt()])
def test_the_old_engine_comes_back_when_the_last_step_of_replacing_it_fails(
    engine: Engine, sources: dict[str, Path], monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    before = contents(engine.folder.parent)
    rename = Path.rename

    def fail_to_put_in_place(self: Path, target: Path) -> Path:
        if self.name == "small-1" and self.parent.name.startswith(".new-"):
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_to_put_in_place)
    with pytest.raises((EngineError, KeyboardInterrupt)):
        write_engine(engine.folder, sources, engine_fields(size=96), overwrite=True)
    monkeypatch.undo()
    assert contents(engine.folder.parent) == before
    assert load_engine(str(engine.folder)).manifest.input.size == 64


def test_an_unwritable_place_is_an_error_of_ours(tmp_path: Path, sources: dict[str, Path]) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EngineError, match="cannot be written"):
        write_engine(tmp_path / "file" / "engine", sources, engine_fields())


def test_a_moved_engine_still_loads(engine: Engine, tmp_path: Path) -> None:
    shutil.move(engine.folder, tmp_path / "elsewhere")
    assert load_engine(str(tmp_path / "elsewhere")).sha256
