"""The bridge to the Lab Streaming Layer: an outlet for keypoints, one for features, one for markers.

pylsl is imported here and nowhere else, when the bridge is opened: its library reads where it may be found once, as it is loaded.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rtface.core.clock import NS_PER_S
from rtface.core.errors import UsageError
from rtface.core.extras import how_to_install, needing
from rtface.publish.as_json import Published
from rtface.publish.bridges.base import BridgeCounts
from rtface.publish.bridges.happenings import in_short
from rtface.publish.events import TOPIC_EVENTS, EventMessage
from rtface.publish.features import TOPIC_FEATURES, FeaturesMessage
from rtface.publish.keypoints import TOPIC_KEYPOINTS, Keypoints

SETTINGS_VARIABLE = "LSLAPICFG"
"""Names a file of settings for LSL's library; one that is set already is left as it is."""

STREAMS = {"keypoints": "rtface keypoints", "features": "rtface features", "markers": "rtface markers"}

_IRREGULAR = 0.0
_LOOPBACK = "ListenAddress = 127.0.0.1\n"
_BUFFER_S = 60


class LslBridge:
    """Hands keypoints, features and events to LSL with the times that they have; as `Bridge`.

    A sample's time is the exposure of its frame in seconds of the host's monotonic clock, which on Linux is LSL's clock:
    nothing is converted. Keypoints are ``frame_id``, then x, y and score of each; a lost frame is a sample that is not there.

    Parameters
    ----------
    names : sequence of str
        Of the keypoints.
    scope : str
        Who can find the streams: ``machine``, ``link`` or ``site``.
    rig : str
        Where its service publishes: it names this rig's streams among others, and inlets find them again by it.
    """

    topics = (TOPIC_KEYPOINTS, TOPIC_EVENTS, TOPIC_FEATURES)

    def __init__(self, names: Sequence[str], scope: str, rig: str) -> None:
        self.counts = BridgeCounts()
        self._names, self._scope, self._rig = tuple(names), scope, rig
        self._library: Any = None
        self._outlets: dict[str, Any] = {}
        self._features: tuple[str, ...] = ()

    def open(self) -> str:
        """As `Bridge.open`; `UsageError` where pylsl or its library is not there."""
        self._library = _loaded(self._scope)
        points = ["frame_id", *(f"{name}.{what}" for name in self._names for what in ("x", "y", "score"))]
        units = ["1", *(unit for _ in self._names for unit in ("px", "px", "1"))]
        self._open("keypoints", "MoCap", points, units)
        self._open("markers", "Markers", ["marker"], [""])
        return ""

    def look(self) -> None:
        """As `Bridge.look`: LSL has threads of its own for that."""

    def takes_features(self) -> bool:
        """As `Bridge.takes_features`; also until their names have come, with which an outlet is made."""
        outlet = self._outlets.get("features")
        return outlet is None or bool(outlet.have_consumers())

    def take(self, message: Published) -> None:
        """As `Bridge.take`."""
        match message:
            case Keypoints() if self._taken("keypoints"):
                row = zip(message.xy.tolist(), message.score.tolist(), strict=True)
                values = [each for (x, y), score in row for each in (x, y, score)]
                self._push("keypoints", [message.frame_id, *values], message.stamps.exposure_ns)
            case FeaturesMessage():
                if message.names != self._features:
                    self._open("features", "Behavior", message.names, message.units)
                    self._features = message.names
                if self._taken("features"):
                    self._push("features", message.values.tolist(), message.exposure_ns)
            case EventMessage():
                self._push("markers", ["/".join((message.kind, *in_short(message)))], message.t_ns)
            case _:
                pass

    def close(self) -> None:
        """As `Bridge.close`."""
        self._outlets.clear()  # an outlet that nobody holds closes its streams

    def _taken(self, stream: str) -> bool:
        return bool(self._outlets[stream].have_consumers())

    def _open(self, stream: str, kind: str, labels: Sequence[str], units: Sequence[str]) -> None:
        library = self._library
        form = library.cf_string if stream == "markers" else library.cf_double64
        source = source_of(self._rig, stream)
        info = library.StreamInfo(STREAMS[stream], kind, len(labels), _IRREGULAR, form, source)
        channels = info.desc().append_child("channels")
        for label, unit in zip(labels, units, strict=True):
            channels.append_child("channel").append_child_value("label", label).append_child_value(
                "unit", unit
            )
        self._outlets[stream] = library.StreamOutlet(info, max_buffered=_BUFFER_S)

    def _push(self, stream: str, sample: Sequence[object], t_ns: int) -> None:
        try:
            self._outlets[stream].push_sample(sample, t_ns / NS_PER_S)
            self.counts.sent += 1
        except (RuntimeError, ValueError, TypeError) as error:
            self.counts.fail(f"LSL: {error}")


def source_of(rig: str, stream: str) -> str:
    """Return the source of a stream, which stays the same when a rig is started anew at the same address."""
    return f"rtface {rig} {stream}"


def find_stream(source: str, within_s: float = 20.0) -> Any:
    """Return an inlet of a stream of this computer, opened; `UsageError` where there is none."""
    library = _loaded("machine")
    found = library.resolve_byprop("source_id", source, timeout=within_s)
    if not found:
        raise UsageError(f"no LSL stream has the source {source!r}")
    inlet = library.StreamInlet(found[0])
    inlet.open_stream(timeout=within_s)
    return inlet


def lsl_settings(scope: str) -> str:
    """Return a file of settings for LSL's library: where it answers who looks for streams."""
    return (
        f"[multicast]\nResolveScope = {scope}\n{_LOOPBACK if scope == 'machine' else ''}[log]\nlevel = -2\n"
    )


def _loaded(scope: str) -> Any:
    """Return pylsl, whose library has taken the settings for `scope`, unless the user has given it others."""
    with needing("lsl", UsageError):
        if SETTINGS_VARIABLE in os.environ:
            return _imported()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "lsl_api.cfg"
            path.write_text(lsl_settings(scope), encoding="utf-8")
            os.environ[SETTINGS_VARIABLE] = str(path)
            try:
                library = _imported()
                library.StreamInfo(
                    "rtface", source_id="rtface"
                )  # with its first stream it reads them, once and for all
            finally:
                del os.environ[SETTINGS_VARIABLE]
        return library


def _imported() -> Any:
    try:
        import pylsl
    except RuntimeError as error:  # the package is there and its library is not
        why = str(error).strip().splitlines()[0]
        raise UsageError(f"LSL's library, liblsl, cannot be loaded: {why} {how_to_install('lsl')}") from error
    return pylsl
