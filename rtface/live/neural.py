"""The encoder in the processing thread: what each pose says of the brain, as values for rules and as messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from rtface.config import EncoderSettings
from rtface.core.clock import NS_PER_S
from rtface.core.errors import ConfigError, EngineError
from rtface.core.features import NEVER_NS, Features
from rtface.core.files import file_hash
from rtface.core.records import CameraInfo, Image, Keypoint, Pose
from rtface.encode.bundle import EncoderBundle, find_encoder, load_encoder
from rtface.encode.manifest import MANIFEST_FILE
from rtface.encode.states import load_states
from rtface.encode.stream import Prediction, StreamingEncoder
from rtface.live.handler import NetworkInUse, PoseHandler
from rtface.publish.neural import NeuralMessage

PREFIX = "neural."

Send = Callable[[NeuralMessage], None]

_EARLY = 0.999


class NeuralPredictor:
    """Predicts neural activity from the poses of a rig.

    `predict` and `publish` belong to one thread.

    Parameters
    ----------
    settings : EncoderSettings
    skeleton : sequence of Keypoint
        The engine's, in the order of its poses.
    send : callable
        Publishes a message.

    Attributes
    ----------
    bundle : EncoderBundle
    names, units : tuple of str
        Of the values that rules may name: ``neural.pc1``, ..., ``neural.state``, ``neural.strange`` (in rules also
        ``neural.ood``), and latents.

    Raises
    ------
    EngineError
        The encoder or the state model is missing or damaged, or needs what the engine does not give.
    ConfigError
        A neuron or a latent is asked for that the encoder does not have.
    """

    def __init__(
        self, settings: EncoderSettings, skeleton: Sequence[Keypoint], send: Send = lambda message: None
    ) -> None:
        self._settings, self._send = settings, send
        self.bundle: EncoderBundle = load_encoder(find_encoder(settings.path))
        self._states = None if settings.states is None else load_states(settings.states)
        manifest = self.bundle.manifest
        _check_skeleton(self.bundle, skeleton)
        _check_numbers("neurons", settings.neurons, manifest.targets.neurons)
        _check_numbers("latents", settings.latents, manifest.latents)
        self._keypoints = tuple(point.name for point in skeleton)
        self._outputs = min(settings.outputs, manifest.targets.count)
        kind: Literal["pc", "neuron"] = "pc" if manifest.targets.kind == "components" else "neuron"
        self.names: tuple[str, ...] = (
            *(f"{PREFIX}{kind}{number + 1}" for number in range(self._outputs)),
            f"{PREFIX}state",
            f"{PREFIX}strange",
            *(f"{PREFIX}latent{number}" for number in settings.latents),
        )
        self.units: tuple[str, ...] = ("1",) * len(self.names)
        self._latents = np.array(settings.latents, np.intp)
        self._chosen = np.array(settings.neurons, np.intp)
        every_s = 0.0 if settings.publish_hz is None else _EARLY / settings.publish_hz
        self._every_ns = round(every_s * NS_PER_S)
        self._stream: StreamingEncoder | None = None
        self._fresh: Prediction | None = None
        self._published_ns = NEVER_NS
        count = len(self.names)
        self._features = Features(np.full(count, np.nan), np.zeros(count), np.full(count, NEVER_NS, np.int64))

    @property
    def stream(self) -> StreamingEncoder:
        """The encoder on the stream, once it is open."""
        if self._stream is None:
            raise EngineError("the encoder has no camera yet")
        return self._stream

    @property
    def sha256(self) -> dict[str, str]:
        """Hashes of what takes part, by name."""
        hashes = {"encoder": self.bundle.sha256}
        if self._settings.states is not None:
            hashes["states"] = file_hash(self._settings.states)
        return hashes

    @property
    def oldest_ms(self) -> float:
        """How old a value can be when the newest frame arrives: the look-ahead, and a row of the encoder."""
        manifest = self.bundle.manifest
        return 1e3 * (manifest.look_ahead_s + 1 / manifest.frame_rate_hz)

    def open(self, camera_hz: float | None) -> None:
        """Begin a stream of so many frames a second.

        Raises
        ------
        EngineError
            The rate is not known, or lower than the encoder's.
        """
        manifest = self.bundle.manifest
        if camera_hz is None:
            raise EngineError(
                f"{self.bundle.folder / MANIFEST_FILE}: frame_rate_hz: the encoder needs "
                f"{manifest.frame_rate_hz:g} frames a second, and the camera does not say its rate: set camera.rate_hz"
            )
        self._stream = StreamingEncoder(
            self.bundle,
            self._keypoints,
            camera_hz,
            states=self._states,
            min_score=self._settings.min_score,
        )

    def predict(self, pose: Pose) -> Features:
        """Take a pose; return all values as they are now, borrowed until the next.

        A value is NaN with score 0 until the encoder's window is full. The score of ``neural.state`` is that of the
        prediction times the state's probability; ``neural.strange`` is known with score 1 from the first row on.
        """
        frame = pose.frame
        found = self.stream.step(pose.xy, pose.score, frame.exposure_ns, frame.frame_id)
        if found is not None:
            self._fresh = found
            self._write(found)
        return self._features

    def publish(self) -> None:
        """Publish what the last pose brought, if it brought anything and it is time."""
        found, self._fresh = self._fresh, None
        if found is None:
            return
        with_neurons = found.neural and len(self._chosen) > 0
        since_ns = found.exposure_ns - self._published_ns
        if 0 <= since_ns < self._every_ns and not with_neurons:
            return
        self._published_ns = found.exposure_ns
        self._send(self._message(found, with_neurons=with_neurons))

    def _message(self, found: Prediction, *, with_neurons: bool) -> NeuralMessage:
        manifest, shown = self.bundle.manifest, slice(self._outputs)
        return NeuralMessage(
            frame_id=found.frame_id,
            exposure_ns=found.exposure_ns,
            encoder=manifest.name,
            model=found.model,
            simulated=manifest.simulated,
            kind=manifest.targets.kind,
            outputs=found.outputs[shown],
            uncertainty=found.uncertainty[shown],
            neurons=self.stream.neurons(found, self._chosen) if with_neurons else None,
            chosen=self._chosen.astype(np.int32) if with_neurons else None,
            state=found.state,
            probability=None if found.probability is None else found.probability.astype(np.float32),
            look_ahead_ns=found.look_ahead_ns,
            delay_ns=round(manifest.delay_s * NS_PER_S),
            warm=found.warm,
            strange=found.ood,
            score=found.score,
        )

    def _write(self, found: Prediction) -> None:
        values, scores, count = self._features.values, self._features.scores, self._outputs
        self._features.exposure_ns.fill(found.exposure_ns)
        if found.warm:
            values[:count] = found.outputs[:count]
            values[count + 2 :] = found.latents[self._latents]
            scores.fill(found.score)
        else:
            values.fill(np.nan)
            scores.fill(0)
        values[count], scores[count] = np.nan, 0
        if found.state is not None and found.probability is not None:
            values[count], scores[count] = found.state, found.score * found.probability[found.state]
        values[count + 1], scores[count + 1] = found.ood, 1


class NeuralHandler(PoseHandler):
    """Predicts and publishes after the keypoints, in a rig that does nothing else with them."""

    def __init__(self, predictor: NeuralPredictor) -> None:
        self._predictor = predictor

    def open(self, camera: CameraInfo, network: NetworkInUse) -> None:
        """See `PoseHandler`."""
        self._predictor.open(camera.rate_hz)

    def published(self, image: Image, pose: Pose, published_ns: int) -> None:
        """See `PoseHandler`."""
        self._predictor.predict(pose)
        self._predictor.publish()


def _check_skeleton(bundle: EncoderBundle, skeleton: Sequence[Keypoint]) -> None:
    path, manifest = bundle.folder / MANIFEST_FILE, bundle.manifest
    if manifest.extras:
        raise EngineError(
            f"{path}: extras: the encoder needs {', '.join(manifest.extras)}, which a rig does not have"
        )
    trained = {point.name: point.trained for point in skeleton}
    for name in manifest.keypoints:
        if name not in trained:
            raise EngineError(
                f"{path}: keypoints: the encoder needs {name!r}, which the engine does not find; it finds "
                + ", ".join(trained)
            )
        if not trained[name]:
            raise EngineError(
                f"{path}: keypoints: the encoder needs {name!r}, which the engine was never trained to find"
            )


def _check_numbers(field: str, numbers: Sequence[int], count: int) -> None:
    if wrong := [number for number in numbers if not 0 <= number < count]:
        raise ConfigError(f"encoder.{field}: the encoder has {field} 0 to {count - 1}, but not {wrong[0]}")
