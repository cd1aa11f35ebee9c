"""While a session is blinded its folder tells nothing either: names, sizes, times and bytes of the files, read as they grow.

The loop and its output are those of `test_blinding`; the record is a real one, whose writer comes when the test lets it, each
50 ms. Who looks is given every record of the log with all its fields, and what `os.stat` says.
"""

from __future__ import annotations

import copy
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from numpy.typing import NDArray
from support.manual_loop import CAMERA, Recorded
from unit.live.test_blinding import CHANCE, RULES, TRIALS, Watched, accuracy, features, run

from rtface.config import SessionSettings
from rtface.core.clock import NS_PER_MS, ManualClock
from rtface.core.decision import Decision
from rtface.core.records import Crop, Keypoint
from rtface.decide.rulebank import ALIKE_NS
from rtface.decide.rules import RulesFile
from rtface.record.seal.blocks import SealedQueue
from rtface.record.seal.cipher import read_key
from rtface.record.session import LOG_NAME
from rtface.record.session.cameras.setup import Setup
from rtface.record.session.log import RECORD_HEAD, RECORD_TAIL
from rtface.record.session.reader import read_session
from rtface.record.session.recorder import SessionRecorder
from rtface.record.session.rows import PUBLISHED, decode_rows
from rtface.record.session.writer import SessionWriter

FRAMES_A_VISIT = 5
MOST_PLACES = 6
FORWARDED = (
    "features", "call", "pulse", "output", "reply", "arming", "mark", "pose", "published", "losses", "latency",
)  # fmt: skip


class StandIn:
    """In place of the writer's thread."""

    def start(self) -> None: ...

    def join(self, timeout_s: float) -> None: ...

    def is_alive(self) -> bool:
        return False


class Sealing(Recorded):
    """A session's recorder that remembers, too, what it was given."""

    def __init__(self, clock: ManualClock, root: Path, rules: dict[str, Any]) -> None:
        super().__init__()
        self.clock = clock
        spec = RulesFile.model_validate(rules).of_session(99)
        setup = Setup(
            rig="",
            keypoints=[Keypoint("nose(tip)")],
            score_definition="",
            camera=CAMERA,
            engine="face",
            backend={},
            crop=Crop(0, 0, 64, 48),
            resolved=spec.model_dump_json(),
            features=("nose.x", "nose.y"),
            units=("px", "px"),
            alike_ns=ALIKE_NS,
            blind={"right"},
        )
        self.recorder = SessionRecorder(
            SessionSettings(folder=root, min_free_gb=0, stall_s=1e6), "x", setup, clock=clock
        )
        self.writer = self.recorder._writer
        self.writer._thread = StandIn()  # type: ignore[assignment]
        self.recorder.open()
        self.frames_seen = 0
        for name in FORWARDED:
            setattr(self, name, self._both(name))

    def _both(self, name: str) -> Callable[..., Any]:
        own, real = getattr(super(), name), getattr(self.recorder, name)

        def both(*arguments: Any, **named: Any) -> Any:
            own(*arguments, **named)
            return real(*arguments, **named)

        return both

    def decision(self, decision: Decision) -> int:
        self.decisions.append(decision)
        return self.recorder.decision(decision)

    def visit(self) -> bool:
        """Let the writer come, if its time has come."""
        self.frames_seen += 1
        if self.frames_seen % FRAMES_A_VISIT:
            return False
        assert self.writer._log is not None
        assert self.writer._reserve is not None
        self.writer._visit(self.writer._log, self.writer._reserve)
        return True

    def finish(self) -> None:
        """Let the writer end, as its thread would."""
        self.writer._stopping.set()
        self.writer._run()
        assert self.recorder.close()


class Onlooker(Watched):
    """Whoever looks into the session's folder each time that the writer has been there."""

    record: Sealing

    def __init__(self, root: Path, rules: dict[str, Any] = RULES) -> None:
        type(self).make_record = staticmethod(lambda clock: Sealing(clock, root, rules))  # type: ignore[assignment]
        self.at = 16
        super().__init__(ALIKE_NS, rules)

    @property
    def folder(self) -> Path:
        return self.record.recorder.folder

    def watch(self) -> None:
        """In place of messages, status and screen, which `test_blinding` looks at."""
        if not self.record.visit():
            return
        t_ns = self.handled_ns
        for path in sorted(self.folder.iterdir()):
            self.emitted.append((t_ns, "file", {"name": path.name, "size": path.stat().st_size}))
        with (self.folder / LOG_NAME).open("rb") as file:
            file.seek(self.at)
            data = file.read(1 << 18)
        at = 0
        while any(data[at : at + 4]):
            at = self._look(t_ns, data, at)
        self.at += at
        self.emitted.append((t_ns, "log", {"grew": at}))

    def _look(self, t_ns: int, data: bytes, at: int) -> int:
        _, length, _, kind, _, _ = RECORD_HEAD.unpack_from(data, at)
        payload = data[at + RECORD_HEAD.size :][:length]
        found: dict[str, Any] = {
            "record": kind,
            "length": length,
            "packed": len(zlib.compress(payload)),
            "mean": float(np.frombuffer(payload, np.uint8).mean()),
            "ones": int.from_bytes(payload, "little").bit_count(),
        }
        if kind < 64:
            found |= {
                name: value
                for name, value in msgpack.unpackb(payload).items()
                if name not in ("data", "inputs")
            }
        elif kind == PUBLISHED:
            rows = decode_rows(kind, payload)
            found |= {f"published {place}": int(each) for place, each in enumerate(rows["published_ns"])}
        self.emitted.append((t_ns, "record", found))
        return at + RECORD_HEAD.size + length + RECORD_TAIL


def by_trial(looker: Onlooker, count: int) -> list[dict[str, float]]:
    """All that was in the folder in each trial, and up to the next, as named numbers."""
    began = [each.now_ns for each in looker.record.decisions if each.secret]
    trials: list[dict[str, float]] = [{} for _ in began]
    seen: Counter[tuple[int, str]] = Counter()
    texts: dict[str, int] = {}
    for t_ns, kind, details in looker.emitted:
        trial = int(np.searchsorted(began, t_ns, side="right")) - 1
        if kind not in ("file", "log", "record") or trial < 0:
            continue
        of_kind = f"{kind} {details.get('record', details.get('name', ''))}"
        seen[trial, of_kind] += 1
        place, found = seen[trial, of_kind], trials[trial]
        found[f"all {of_kind}"] = place
        for name, value in details.items():
            if name in ("number", "session_ns", "frame_id", "trial"):  # they count trials and frames alike
                continue
            if isinstance(value, int) and name.endswith(("_ns", *"0123456789")):
                value = (value - began[trial]) / NS_PER_MS
            known = isinstance(value, int | float) and not isinstance(value, bool)
            number = value if known else texts.setdefault(repr(value), len(texts))
            if place <= MOST_PLACES:
                found[f"{place} {of_kind} {name}"] = number
            found[f"sum {of_kind} {name}"] = found.get(f"sum {of_kind} {name}", 0) + number
    return trials[:count]


def looked_at(root: Path, trials: int = TRIALS) -> tuple[dict[str, float], NDArray[np.bool_], Onlooker]:
    looker = Onlooker(root)
    _, truth = run(watched=looker, trials=trials)
    assert 0.4 < truth.mean() < 0.6
    return accuracy(features(by_trial(looker, len(truth))), truth), truth, looker


def test_a_classifier_over_the_folder_of_a_session_does_no_better_than_chance(tmp_path: Path) -> None:
    found, truth, looker = looked_at(tmp_path)
    assert max(found.values()) < CHANCE, found
    looker.record.finish()
    opened = read_session(looker.folder, read_key(looker.folder))  # and it is all there
    told = [each.action == "fire" for each in opened.decisions if each.blind and each.pulse is not None]
    assert told[: len(truth)] == truth.tolist()


def test_it_sees_decisions_that_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Decision, "public", lambda self: self)
    found, _, _ = looked_at(tmp_path, trials=100)
    assert max(found.values()) > 0.9, found


def test_it_sees_replies_that_are_in_the_clear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SessionWriter, "put_sealed", SessionWriter.put)
    found, _, _ = looked_at(tmp_path, trials=100)
    assert max(found.values()) > 0.9, found


def test_it_sees_sizes_that_are_not_padded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    padded = SealedQueue.block
    monkeypatch.setattr(SealedQueue, "block", lambda self, **_: padded(self, padded=False))
    found, _, _ = looked_at(tmp_path, trials=100)
    assert max(found.values()) > 0.9, found


def test_a_session_of_light_alone_and_one_of_shams_alone_have_files_of_one_size(tmp_path: Path) -> None:
    told: dict[str, Mapping[str, int]] = {}
    for name, sham in (("light", 0.0), ("shams", 1.0)):
        rules = copy.deepcopy(RULES)
        rules["rules"]["right"]["schedule"] |= {"sham": sham}
        looker = Onlooker(tmp_path / name, rules)
        _, truth = run(watched=looker, trials=40)
        assert truth.all() == (name == "light")
        looker.record.finish()
        session = read_session(looker.folder)
        sizes = {path.name: path.stat().st_size for path in looker.folder.iterdir()}
        told[name] = {**session.counted, **sizes}
    assert told["light"] == told["shams"]
