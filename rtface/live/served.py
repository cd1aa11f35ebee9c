"""What a service is whatever its cameras: sockets that are opened and closed in order, and commands that are answered."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

import zmq

from rtface.config import PicturesSettings, RigSettings, publish_setting
from rtface.core.clock import Clock
from rtface.core.errors import ConfigError, ControlError, UsageError
from rtface.live.alert import Alert
from rtface.live.arming import Arming
from rtface.live.loop.record import Announce
from rtface.live.loop.standing import RTFACE
from rtface.live.loopthread import LoopThread
from rtface.live.shown.features import FeatureFeed
from rtface.publish.address import check_address
from rtface.publish.bridges.processes import BridgeProcesses
from rtface.publish.commands import NO_LOOP
from rtface.publish.control import ControlServer
from rtface.publish.keys import Guard, load_server_keys, with_own_client
from rtface.publish.pictures.publisher import PicturePublisher
from rtface.publish.publisher import Publisher
from rtface.publish.status import ServiceStatus
from rtface.track.backends.base import BackendInfo

LONGEST_ERROR = 2_000
"""Characters of an error that are published."""

_UNNAMED = "an unnamed client"

_log = logging.getLogger(__name__)


class Served:
    """A rig that runs, under the command of clients; `Service` is that of one camera.

    Parameters
    ----------
    rig : RigSettings
    clock : Clock
        Source of the stamps.
    cameras : sequence of str
        Names of the cameras, where there are several.

    Attributes
    ----------
    session : str
        Id of this life of the service.

    Raises
    ------
    AddressError
        The keys are not there.
    """

    _control: ControlServer
    _arming: Arming | None = None

    def __init__(self, rig: RigSettings, clock: Clock, cameras: Sequence[str] = ()) -> None:
        self.session, self._clock = secrets.token_hex(8), clock
        keys = None if rig.publish.keys is None else load_server_keys(rig.publish.keys)
        for setting, address in rig.publish.addresses.items():
            check_address(address, publish_setting(setting), keys is not None)
        own = None
        if keys is not None and rig.publish.bridges:
            keys, own = with_own_client(keys)
        self._bridges, self._own_keys = BridgeProcesses(rig.publish.bridges), own
        self._key_folder = rig.publish.keys
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._guard = None if keys is None else Guard(self._context, keys)
        self._publisher = Publisher(
            rig.publish.keypoints,
            self.session,
            self._context,
            queue=rig.publish.queue,
            guard=self._guard,
            clock=clock,
            cameras=cameras,
        )
        self._picture_publishers: list[PicturePublisher] = []
        self._subscribers = 0
        self._opened = ExitStack()

    def _publish_pictures(self, settings: PicturesSettings, address: str) -> PicturePublisher:
        """Return what will publish the pictures of a camera, opened and closed with all else."""
        made = PicturePublisher(
            address,
            self.session,
            self._context,
            per_second=settings.per_second,
            quality=settings.quality,
            longest=settings.width,
            guard=self._guard,
            clock=self._clock,
        )
        self._picture_publishers.append(made)
        return made

    def _announcer(self, rig: RigSettings) -> Announce:
        """Return what publishes an event, and lets the rig's own program know of some."""
        announce: Announce = self._publisher.publish_event
        if rig.arming.alert is None:
            return announce
        return Alert(announce, rig.arming.alert, rig.output.kind, self.session)

    def _feed(self, rig: RigSettings) -> FeatureFeed:
        """Return what publishes features and rules for who looks on."""
        publisher = self._publisher
        return FeatureFeed(publisher.publish_features, publisher.takes_features, rig.publish.features_hz)

    @property
    def processing(self) -> LoopThread:
        """The thread that decides, for its end."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Open everything; see `open`."""
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close everything; see `close`."""
        self.close()

    @property
    def has_loop(self) -> bool:
        """Whether the rig decides, acts or records."""
        return self._arming is not None

    @property
    def arming(self) -> Arming:
        """The commands of the closed loop; `ControlError` ``no_loop`` where there is none."""
        if self._arming is None:
            raise ControlError(
                NO_LOOP,
                "this service decides nothing: its rig's file has neither rules: nor output: nor session:",
            )
        return self._arming

    @property
    def record_fault(self) -> str:
        """Why the session's record is not what it should be; empty while it is. Complete once the service is closed."""
        return "" if self._arming is None else self._arming.record_fault

    @property
    def keypoints_address(self) -> str:
        """Where keypoints are published, with the port that was taken."""
        return self._publisher.address

    @property
    def control_address(self) -> str:
        """Where commands are taken, with the port that was taken."""
        return self._control.address

    @property
    def pictures_address(self) -> str:
        """Where pictures are published, with the port that was taken; empty where there are none."""
        return self._picture_publishers[0].address if self._picture_publishers else ""

    def open(self) -> None:
        """Open the sockets, the camera and the network, and begin.

        Raises
        ------
        RtfaceError
            What could not be opened; everything else is closed again.
        """
        with ExitStack() as opened:
            opened.callback(self._end_context)
            if self._guard is not None:
                self._guard.open()
                opened.callback(self._guard.close)
            for pictures in self._picture_publishers:
                opened.callback(pictures.close)
                pictures.open()
            opened.callback(self._bridges.close)
            opened.callback(self.processing.stop)
            self._start_pipeline()
            names = self._bridged_names()
            self._bridges.open(self.keypoints_address, names, self._key_folder, self._own_keys)
            opened.callback(self._control.close)
            self._control.open()
            opened.callback(self.processing.ask_to_stop)
            self._opened = opened.pop_all()

    @property
    def bridge_addresses(self) -> Mapping[str, str]:
        """Where bridges publish, with the ports that were taken, by kind."""
        return self._bridges.addresses()

    def _bridged_names(self) -> tuple[str, ...]:
        """Return the names of the keypoints that bridges hand on."""
        return ()

    def _start_pipeline(self) -> None:
        try:
            self.processing.start()
        except UsageError as error:  # of the pipeline's parts only the crop can be at odds with the camera
            raise ConfigError(str(error)) from error

    def _end_context(self) -> None:
        """End ZeroMQ's threads, unless the processing thread still uses a socket: that would crash both."""
        if self.processing.ended:
            self._context.destroy()
        else:
            _log.error("the processing thread did not end; its sockets stay open until this process ends")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of the source or a failure; True when it has come."""
        return self.processing.wait(timeout_s)

    def close(self) -> None:
        """Stop and close everything; may be called any number of times."""
        self._opened.close()

    def start(self) -> Mapping[str, Any]:
        """Start the camera again; command ``start``."""
        self._resume()
        return {"state": self._state()}

    def stop(self, who: str = "") -> Mapping[str, Any]:
        """Stop the camera and keep everything open, disarmed by whoever it was; command ``stop``."""
        if self._arming is not None:
            self._arming.disarm(who or _UNNAMED, "the camera is stopped")
        self._pause()
        return {"state": self._state()}

    def _resume(self) -> None:
        """Start the cameras."""
        raise NotImplementedError

    def _pause(self) -> None:
        """Stop the cameras."""
        raise NotImplementedError

    def _state(self) -> str:
        """Return what is being done."""
        raise NotImplementedError

    def _publish(self, status: ServiceStatus) -> None:
        """Publish how the service is; disarm where commands are not heard any more."""
        arming = self._arming
        if self._control.deaf and arming is not None and arming.state()["state"] == "armed":
            arming.disarm(RTFACE, "commands from the network, an emergency stop too, are not taken any more")
        self._subscribers = self._publisher.count_subscribers()
        self._publisher.publish_status(status)


def describe_backend(info: BackendInfo) -> str:
    """Return one line that names back end, version, precision, threads and device."""
    threads = "" if info.threads is None else f", {info.threads} threads"
    plan = "" if info.plan is None else f", plan {info.plan}"
    return f"{info.name} {info.version} ({info.precision}{threads}{plan}) on {info.device}"
