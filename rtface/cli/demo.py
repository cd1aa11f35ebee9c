"""``rtface demo``: the whole way from a camera to a client, with no camera."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.text import Text

from rtface.cli.options import EngineOption, JsonOption, ScreenOption, SecondsOption
from rtface.cli.terminal.beside import screen_beside, with_pictures
from rtface.cli.terminal.neural import NeuralView, neural_map
from rtface.cli.terminal.screen import beside, keypoints_table, print_note
from rtface.cli.terminal.serving import announce, serve
from rtface.cli.terminal.signals import ending_on_signals
from rtface.client import Client
from rtface.config import (
    EncoderSettings,
    JsonBridgeSettings,
    OscBridgeSettings,
    PicturesSettings,
    PublishSettings,
    Rig,
    SimulatedCameraSettings,
)
from rtface.core.defaults import SIMULATED_ENCODER
from rtface.core.errors import AddressError
from rtface.core.realtime import realtime_process
from rtface.live.service import Service
from rtface.publish.neural import NeuralMessage
from rtface.simulate.face import MouseFace

USUAL = PublishSettings()
"""Where clients look for a service unless they are given its addresses."""

_FREE = "tcp://127.0.0.1:*"
_BRIDGES = (JsonBridgeSettings(kind="json"), OscBridgeSettings(kind="osc"))


def demo(
    seconds: SecondsOption = None,
    rate: Annotated[float, typer.Option(min=1, help="Frames per second of the simulated camera.")] = 200.0,
    width: Annotated[int, typer.Option(min=64, help="Width of its frames in pixels.")] = 640,
    height: Annotated[int, typer.Option(min=64, help="Height of its frames in pixels.")] = 480,
    seed: Annotated[int, typer.Option(min=0, help="Which simulated mouse.")] = 0,
    engine: EngineOption = "default",
    encoder: Annotated[
        bool,
        typer.Option("--encoder", help="Show SIMULATED neural activity beside, predicted from the face."),
    ] = False,
    bridges: Annotated[
        bool,
        typer.Option("--bridges", help="Publish as JSON and OSC too, for clients in other languages."),
    ] = False,
    show_screen: ScreenOption = False,
    as_json: JsonOption = False,
) -> None:
    """Track a simulated mouse: a live table of rate, latency percentiles, losses and the keypoints.

    With --encoder also what an encoder makes of the keypoints: components of simulated neurons that were made up from
    such a mouse's face, and their state. Runs until interrupted, or for --seconds. Nothing is needed: no camera, no GPU.
    `rtface watch` in another terminal shows what a client receives.
    """
    camera_settings = SimulatedCameraSettings(width=width, height=height, rate_hz=rate, seed=seed)
    rig = Rig(
        camera=camera_settings,
        engine=engine,
        publish=USUAL.model_copy(update={"bridges": _BRIDGES}) if bridges else USUAL,
        encoder=EncoderSettings(path=Path(SIMULATED_ENCODER)) if encoder else None,
    )
    if show_screen:
        rig = with_pictures(rig)
    face = MouseFace(width, height, rate, seed)
    with (
        ending_on_signals() as ending,
        _opened(rig) as service,
        screen_beside(service.control_address) if show_screen else nullcontext(),
        realtime_process(),
        Client(service.keypoints_address, service.control_address, newest=True) as client,
    ):
        names = [point.name for point in client.hello().skeleton]
        if not as_json:
            announce(service)
            _print_how_to_watch(service)
        latest: list[Any] = []
        neural = NeuralView()

        def keypoints() -> list[Any]:
            found = client.next(0)
            neural.take(client.neural())
            if found is not None:
                truth = face.truth(found.frame_id)
                distance = np.linalg.norm(found.xy - truth, axis=1)
                known = distance[~np.isnan(distance)]
                error = f"{np.median(known):.1f}" if known.size else "-"
                latest[:] = [
                    beside(keypoints_table(names, found.xy, found.score, found.outside), neural.render()),
                    Text(
                        f"frame {found.frame_id}: {error} px median from the simulated mouse's true keypoints"
                    ),
                ]
            return latest

        newest: list[NeuralMessage] = []

        def predicted() -> dict[str, Any]:
            client.next(0)  # predictions come in while keypoints are waited for
            newest[-1:] = client.neural()[-1:] or newest
            return {"neural": neural_map(newest[-1])} if newest else {}

        serve(service, ending, seconds, as_json=as_json, below=keypoints, more=predicted)


@contextmanager
def _opened(rig: Rig) -> Iterator[Service]:
    """Give the service at the rig's addresses, or at free ones where another program has those."""
    with ExitStack() as stack:
        try:
            service = stack.enter_context(Service(rig))
        except AddressError:
            publish = rig.publish.model_copy(update={"keypoints": _FREE, "control": _FREE})
            if publish.pictures is not None:
                publish = publish.model_copy(update={"pictures": PicturesSettings(address=_FREE)})
            elsewhere = tuple(each.model_copy(update={"address": _FREE}) for each in _BRIDGES)
            if publish.bridges:
                publish = publish.model_copy(update={"bridges": elsewhere})
            service = stack.enter_context(Service(rig.model_copy(update={"publish": publish})))
        yield service


def _print_how_to_watch(service: Service) -> None:
    addresses = service.keypoints_address, service.control_address
    if addresses == (USUAL.keypoints, USUAL.control):
        print_note("clients    in another terminal: rtface watch; in Python: rtface.Client()")
        return
    usual = [USUAL.keypoints, USUAL.control]
    if service.bridge_addresses:
        usual += [each.address for each in _BRIDGES]
    print_note(f"clients    {', '.join(usual[:-1])} or {usual[-1]} is in use, so in another terminal:")
    print_note("           rtface watch {} --control {}".format(*addresses))
    print_note('           in Python: rtface.Client("{}", "{}")'.format(*addresses))
