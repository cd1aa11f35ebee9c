"""Neural activity predicted from the face, as it is published: one message a row of the encoder. No socket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import msgpack
import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import WireError
from rtface.core.records import FloatArray
from rtface.publish.wire import MAX_SESSION, PROTOCOL, Fields, as_bytes, check_length, pack, read

TOPIC_NEURAL = b"neural"

MAX_NEURONS = 4_096
"""Neurons, components or states of one message."""

NeuralKind = Literal["components", "neurons"]
KINDS: tuple[NeuralKind, ...] = get_args(NeuralKind)

_FLOAT, _NUMBER = np.dtype("<f4"), np.dtype("<i4")


@dataclass(frozen=True, slots=True, eq=False)
class NeuralMessage:
    """Neural activity predicted from the face.

    Attributes
    ----------
    frame_id : int or None
        The frame that it is about; None where that was lost.
    exposure_ns : int
        Its exposure: nanoseconds of the monotonic clock of the service's host. Its age is now less this.
    encoder, model : str
        The encoder's name, and its hash.
    simulated : bool
        The encoder was trained on a simulated population: this means nothing for a brain.
    kind : str
        What `outputs` are: ``components``, or z-scored ``neurons``.
    outputs : ndarray, shape (C,), float32
        The first ones, as many as the rig publishes.
    uncertainty : ndarray, shape (C,), float32
        Standard deviation of each one's error on samples that the encoder was not trained on; holds while the
        message is `warm` and not `unusual`.
    neurons : ndarray, shape (N,), float32, or None
        Activity of chosen neurons in the unit of the recording; None in messages between two neural samples.
    chosen : ndarray, shape (N,), int32, or None
        Their numbers in the recording.
    state : int or None
        The most probable state; None without a state model, or while it is not known.
    probability : ndarray, shape (S,), float32, or None
        Of each state.
    look_ahead_ns : int
        How much newer the newest frame behind this is; 0 for a causal encoder.
    delay_ns : int
        How much later than the exposure the activity is that is predicted.
    warm : bool
        The encoder has had as much of the past as it needs.
    strange : float
        How far out of the training distribution the inputs are; above 1 the encoder was never trained on such.
    score : float
        In [0, 1]: how well the inputs were seen, less where they are out of the distribution.
    session : str
        Names one life of the service.
    seq : int
        Number of the message in its session and topic, from 0; a jump is a loss between service and reader.
    published_ns : int
        When it began to be made; same clock as `exposure_ns`.
    received_ns : int
        When it was received, by the reader's monotonic clock; 0 before.
    age_ns : int or None
        From exposure to reception; None where the offset of the clocks is not known.
    """

    frame_id: int | None
    exposure_ns: int
    encoder: str
    model: str
    simulated: bool
    kind: NeuralKind
    outputs: FloatArray
    uncertainty: FloatArray
    neurons: FloatArray | None
    chosen: NDArray[np.int32] | None
    state: int | None
    probability: FloatArray | None
    look_ahead_ns: int
    delay_ns: int
    warm: bool
    strange: float
    score: float
    session: str = ""
    seq: int = 0
    published_ns: int = 0
    received_ns: int = 0
    age_ns: int | None = None

    @property
    def unusual(self) -> bool:
        """Whether the inputs are out of the training distribution."""
        return self.strange > 1


def encode_neural(packer: msgpack.Packer, message: NeuralMessage) -> bytes:
    """Return the body of a message.

    Raises
    ------
    WireError
        Its arrays do not belong together, or are too long.
    """
    one, two = message.outputs.shape, message.uncertainty.shape
    if one != two or len(one) != 1 or (message.neurons is None) != (message.chosen is None):
        raise WireError(f"outputs of shape {one}, uncertainty of shape {two}, neurons without their numbers")
    if message.neurons is not None and message.chosen is not None:
        if message.neurons.shape != message.chosen.shape:
            raise WireError(f"{message.neurons.shape} neurons with {message.chosen.shape} numbers")
        check_length("neurons", len(message.neurons), MAX_NEURONS)
    return pack(
        packer,
        {
            "v": PROTOCOL,
            "session": message.session,
            "seq": message.seq,
            "frame_id": message.frame_id,
            "t": {"exposure": message.exposure_ns, "published": message.published_ns},
            "encoder": message.encoder,
            "model": message.model,
            "simulated": message.simulated,
            "kind": message.kind,
            "outputs": _bytes(message.outputs, _FLOAT),
            "uncertainty": _bytes(message.uncertainty, _FLOAT),
            "neurons": _bytes(message.neurons, _FLOAT),
            "chosen": _bytes(message.chosen, _NUMBER),
            "state": message.state,
            "probability": _bytes(message.probability, _FLOAT),
            "look_ahead_ns": message.look_ahead_ns,
            "delay_ns": message.delay_ns,
            "warm": message.warm,
            "strange": message.strange,
            "unusual": message.unusual,
            "score": message.score,
        },
    )


def decode_neural(body: bytes) -> NeuralMessage:
    """Return the message in `body`; its arrays are views of it and cannot be written.

    Raises
    ------
    WireError
        `body` is no such message; the text names the field.
    """
    fields = read(body)
    kind = fields.choice("kind", KINDS)
    outputs, uncertainty = _numbers(fields, "outputs"), _numbers(fields, "uncertainty")
    if len(outputs) != len(uncertainty):
        raise WireError(f"uncertainty has {len(uncertainty)} numbers for {len(outputs)} outputs")
    neurons = None if fields.is_nil("neurons") else _numbers(fields, "neurons")
    chosen = None if fields.is_nil("chosen") else _numbers(fields, "chosen", _NUMBER)
    if (-1 if neurons is None else len(neurons)) != (-1 if chosen is None else len(chosen)):
        raise WireError("chosen does not number the neurons")
    probability = None if fields.is_nil("probability") else _numbers(fields, "probability")
    state = None if fields.is_nil("state") else fields.integer("state", low=0)
    if state is not None and (probability is None or state >= len(probability)):
        raise WireError(f"state is {state}, but probability has no such state")
    times = fields.nested("t")
    return NeuralMessage(
        frame_id=None if fields.is_nil("frame_id") else fields.integer("frame_id"),
        exposure_ns=times.integer("exposure"),
        encoder=fields.text("encoder"),
        model=fields.text("model"),
        simulated=fields.boolean("simulated"),
        kind=kind,
        outputs=outputs,
        uncertainty=uncertainty,
        neurons=neurons,
        chosen=chosen,
        state=state,
        probability=probability,
        look_ahead_ns=fields.integer("look_ahead_ns", low=0),
        delay_ns=fields.integer("delay_ns"),
        warm=fields.boolean("warm"),
        strange=fields.number("strange"),
        score=fields.number("score"),
        session=fields.text("session", MAX_SESSION),
        seq=fields.integer("seq", low=0),
        published_ns=times.integer("published"),
    )


def _bytes(array: np.ndarray | None, dtype: np.dtype) -> bytes | None:
    return None if array is None else as_bytes(array, dtype)


def _numbers(fields: Fields, name: str, dtype: np.dtype = _FLOAT) -> np.ndarray:
    return fields.numbers(name, dtype, MAX_NEURONS)
