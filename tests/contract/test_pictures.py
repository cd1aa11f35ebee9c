"""What the publisher of pictures and its subscribers keep to, whatever the other side does."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zmq
from support.publishing import make_pose, zmq_context
from support.waits import LONG_S, finishes, wait_until

from rtface.core.clock import NS_PER_S, ManualClock
from rtface.core.errors import AddressError, UsageError
from rtface.core.records import Crop, Image, Pose
from rtface.publish.keys import Guard, load_server_keys, make_keys
from rtface.publish.pictures.message import TOPICS, PictureMessage, Shows
from rtface.publish.pictures.publisher import PicturePublisher
from rtface.publish.pictures.subscriber import PictureSubscriber
from rtface.publish.sockets import Context

FREE = "tcp://127.0.0.1:*"
CROP = Crop(100, 60, 200, 120)
FRAME_NS = NS_PER_S // 100
NOISE = np.random.default_rng(0).integers(0, 256, (240, 320), np.uint8)
never = threading.Event()


def frame(number: int, shape: tuple[int, int] = (240, 320)) -> Image:
    """Return a frame whose gray level says its number, with a bright edge to the crop's left."""
    image = np.full(shape, number % 200, np.uint8)
    image[:, CROP.x - 20 : CROP.x] = 255
    return image


class Rig:
    """A publisher of pictures, the frames of a camera, and who subscribes."""

    def __init__(self, stack: ExitStack, context: Context, **settings: Any) -> None:
        self._stack = stack
        self.publisher = PicturePublisher(FREE, "session", context, **settings)
        self.publisher.open()
        stack.callback(self.publisher.close)
        self.number = 0

    def subscriber(self, shows: Any = "frame", **settings: Any) -> PictureSubscriber:
        before = self.publisher.state()["subscribers"]
        made = PictureSubscriber(self.publisher.address, shows, **settings)
        self._stack.callback(made.close)
        kinds = {shows} if isinstance(shows, str) else set(shows)
        wait_until(lambda: self.publisher.state()["subscribers"] == before + len(kinds))
        wait_until(lambda: kinds <= set(self.publisher._wanted))
        return made

    def show(self, image: Image | None = None, crop: Crop = CROP) -> Pose:
        """Show the next frame, 10 ms after the one before by its stamps."""
        self.number += 1
        pose = make_pose(self.number, exposure_ns=self.number * FRAME_NS)
        self.publisher.offer(frame(self.number) if image is None else image, pose, crop)
        return pose

    def shown(
        self, subscriber: PictureSubscriber, image: Image | None = None, crop: Crop = CROP
    ) -> PictureMessage:
        """Show frames until the subscriber has one of them."""
        for _ in range(1_000):
            self.show(image, crop)
            if (found := subscriber.next(0.05)) is not None:
                return found
        raise AssertionError("no picture came")


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq_context() as lent:
        yield lent


@pytest.fixture
def make(context: Context) -> Iterator[Callable[..., Rig]]:
    with ExitStack() as stack:
        yield lambda **settings: Rig(stack, context, **settings)


@pytest.fixture
def rig(make: Callable[..., Rig]) -> Rig:
    return make(per_second=1000.0, quality=95)


def decoded(message: PictureMessage) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(message.jpeg, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


@pytest.mark.parametrize("shows", ["frame", "crop"])
def test_a_picture_has_the_keypoints_and_the_pixels_of_its_own_frame(rig: Rig, shows: Shows) -> None:
    subscriber = rig.subscriber(shows)
    for _ in range(20):
        message = rig.shown(subscriber)
        pose = make_pose(message.frame_id, exposure_ns=message.frame_id * FRAME_NS)
        np.testing.assert_array_equal(message.xy, pose.xy)
        assert (message.shows, message.crop, message.stamps) == (shows, CROP, pose.stamps)
        assert message.area == (Crop(0, 0, 320, 240) if shows == "frame" else CROP)
        picture = decoded(message)
        assert picture.shape == (message.height, message.width) == message.area.shape
        assert abs(int(picture[-1, -1]) - message.frame_id % 200) <= 2
        assert message.histogram.sum() == picture.size
        assert message.saturated == (240 * 20 if shows == "frame" else 0)
        assert message.stamps.decided_ns < message.copied_ns <= message.published_ns <= message.received_ns


def test_the_caller_may_reuse_the_frame_at_once(rig: Rig) -> None:
    subscriber = rig.subscriber()
    image = np.empty((240, 320), np.uint8)
    for _ in range(20):
        image[:] = 50
        rig.show(image)
        image[:] = 200
        if (message := subscriber.next(0.05)) is not None:
            assert abs(int(decoded(message).mean()) - 50) <= 1


def test_nothing_is_copied_or_made_while_nobody_watches(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[object] = []
    put = rig.publisher._put
    monkeypatch.setattr(
        rig.publisher, "_put", lambda *each, **more: (copies.append(each), put(*each, **more))
    )
    for _ in range(50):
        rig.show()
    assert copies == []
    subscriber = rig.subscriber()
    rig.shown(subscriber)
    assert copies
    subscriber.show(())
    wait_until(lambda: rig.publisher.state()["subscribers"] == 0)
    wait_until(lambda: rig.publisher._wanted == ())
    copies.clear()
    for _ in range(50):
        rig.show()
    assert copies == []


def test_only_the_crop_is_copied_for_who_takes_only_that(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []
    buffer = rig.publisher._buffer
    monkeypatch.setattr(rig.publisher, "_buffer", lambda shape: (shapes.append(shape), buffer(shape))[1])
    crop = rig.subscriber("crop")
    rig.shown(crop)
    assert set(shapes) == {CROP.shape}
    both = rig.subscriber(("frame", "crop"))
    found = {rig.shown(both).shows for _ in range(20)}
    assert found == {"frame", "crop"}
    assert set(shapes) == {CROP.shape, (240, 320)}
    assert rig.shown(crop).shows == "crop"
    assert rig.publisher.state()["failed"] == 0


@pytest.mark.parametrize(("per_second", "most"), [(30.0, 31), (100.0, 101), (7.0, 8)])
def test_at_most_so_many_a_second_are_copied_and_about_as_many(
    make: Callable[..., Rig], per_second: float, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make(per_second=per_second)
    rig.subscriber()
    copies: list[object] = []
    monkeypatch.setattr(rig.publisher, "_put", lambda *each, **more: copies.append(each))
    for _ in range(100):  # a second of the camera's
        rig.show()
    assert most - 2 <= len(copies) <= most


def test_a_new_crop_is_shown_from_its_first_frame_on(rig: Rig) -> None:
    subscriber = rig.subscriber("crop")
    rig.shown(subscriber)
    other = Crop(3, 5, 64, 48, mirrored=True)
    while (message := rig.shown(subscriber, crop=other)).crop != other:
        pass
    assert message.area == Crop(3, 5, 64, 48)
    assert decoded(message).shape == (48, 64)


def test_a_crop_that_is_not_the_frames_is_counted_and_harms_nothing(rig: Rig) -> None:
    subscriber = rig.subscriber("crop")
    rig.show(crop=Crop(300, 200, 100, 100))
    assert rig.publisher.state()["failed"] == 1
    rig.shown(subscriber)


def test_five_megapixels_come_whole_or_scaled(make: Callable[..., Rig]) -> None:
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (500, 700), np.uint8), (2592, 1944))
    for longest, shape in ((4096, (1944, 2592)), (960, (720, 960))):
        rig = make(per_second=1000.0, longest=longest)
        message = rig.shown(rig.subscriber(), image)
        assert decoded(message).shape == shape
        assert (message.area.width, message.area.height) == (2592, 1944)
        assert message.histogram.sum() == image.size


def test_a_picture_beyond_the_bound_is_counted_and_the_next_one_comes(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    subscriber = rig.subscriber()
    with monkeypatch.context() as patch:
        patch.setattr("rtface.publish.pictures.message.MAX_JPEG", 10)
        rig.show()
        wait_until(lambda: rig.publisher.state()["failed"] > 0)
    assert "at most 10 may be sent" in rig.publisher.state()["error"]
    message = rig.shown(subscriber)
    assert message.missed == 0 and message.seq > 0  # noqa: PT018
    wait_until(lambda: "could not be published" in caplog.text)


def test_what_is_lost_on_the_way_is_counted_by_who_lost_it(rig: Rig) -> None:
    subscriber = rig.subscriber()
    first = rig.shown(subscriber)
    sent = rig.publisher.state()["sent"]
    while rig.publisher.state()["sent"] < sent + 300:
        rig.show(NOISE)
        never.wait(0.001)
    found = [first]
    while (message := subscriber.next(0.2)) is not None:
        found.append(message)
    last = found[-1]
    assert last.seq - first.seq == sum(each.missed + each.skipped + 1 for each in found[1:])
    assert len(found) < 100


def test_a_slow_subscriber_gets_the_newest_and_costs_the_others_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = rig.subscriber(), rig.subscriber()
    first = rig.shown(slow)
    for _ in range(200):  # far more than all queues and buffers hold, so that the newest are lost
        rig.shown(quick, NOISE)
    newest, take_all = rig.number, slow._take_all

    def taken() -> bool:
        queued = take_all()
        if rig.number == newest:  # only now the camera goes on
            rig.show(NOISE)
        return queued

    monkeypatch.setattr(slow, "_take_all", taken)
    monkeypatch.setattr("rtface.publish.pictures.subscriber._FRESH_MS", round(LONG_S * 1e3))
    message = slow.next(LONG_S)
    assert message is not None
    assert message.frame_id == newest + 1
    assert message.skipped + message.missed + 1 == message.seq - first.seq
    assert message.missed > 100


def test_a_subscriber_that_never_reads_holds_nobody(rig: Rig, context: Context) -> None:
    with context.socket(zmq.SUB) as dead:
        dead.rcvhwm, dead.linger = 1, 0
        dead.subscribe(TOPICS["frame"])
        dead.connect(rig.publisher.address)
        wait_until(lambda: rig.publisher.state()["subscribers"] == 1)
        quick = rig.subscriber()
        for _ in range(200):
            rig.shown(quick)
        assert rig.publisher.state()["failed"] == 0


def test_a_hostile_subscriber_harms_nobody(rig: Rig) -> None:
    quick = rig.subscriber()
    hostile: Context = zmq.Context()
    peers = [hostile.socket(zmq.XSUB) for _ in range(3)]
    for peer, garbage in zip(peers, (b"\x01" + os.urandom(600), b"\x00picture.frame", b""), strict=True):
        peer.linger = 0
        peer.connect(rig.publisher.address)
        for _ in range(200):
            peer.send(garbage)
            peer.send_multipart([b"a", b"b", b"c"])
    for _ in range(50):
        rig.shown(quick)
    hostile.destroy(0)
    assert rig.publisher.state()["running"]
    wait_until(lambda: rig.publisher.state()["subscribers"] == 1)
    rig.shown(quick)


def test_garbage_from_a_publisher_is_counted_and_passed_over(context: Context) -> None:
    with context.socket(zmq.XPUB) as socket:
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        with PictureSubscriber(f"tcp://127.0.0.1:{port}") as subscriber:
            assert socket.poll(int(LONG_S * 1e3))
            for parts in ([b"picture.frame"], [b"picture.frame", b"\xc1", b"x"], [b"picture.frame"] * 4):
                socket.send_multipart(parts)
            assert subscriber.next(0.2) is None
            wait_until(lambda: subscriber.next(0) is None and subscriber.malformed == 3)


def test_a_new_subscription_is_no_loss_and_one_that_ended_gives_nothing(rig: Rig) -> None:
    subscriber, other = rig.subscriber(), rig.subscriber()
    rig.shown(subscriber)
    subscriber.show("crop")
    wait_until(lambda: rig.publisher._takers[TOPICS["crop"]] == 1)
    for _ in range(5):
        rig.shown(other)
    assert rig.shown(subscriber).shows == "crop"
    subscriber.show("frame")
    wait_until(lambda: rig.publisher._takers[TOPICS["frame"]] == 2)
    message = rig.shown(subscriber)
    assert (message.shows, message.missed) == ("frame", 0)
    with pytest.raises(UsageError, match="not paw"):
        subscriber.show("paw")  # type: ignore[arg-type]


def test_an_exception_costs_one_picture(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(image: Image) -> float:
        raise MemoryError("no room")

    subscriber = rig.subscriber()
    with monkeypatch.context() as patch:
        patch.setattr("rtface.publish.pictures.publisher.focus_of", fails)
        rig.show()
        wait_until(lambda: rig.publisher.state()["failed"] == 1)
    assert rig.publisher.state()["error"] == "MemoryError: no room"
    rig.shown(subscriber)
    assert rig.publisher.state()["running"]


def test_the_death_of_the_thread_is_logged_counted_and_ends_the_copies(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Fatal(BaseException):
        pass

    def dies(*each: object) -> None:
        raise Fatal("gone")

    rig.subscriber()
    monkeypatch.setattr(rig.publisher._takers, "read", dies)
    wait_until(lambda: not rig.publisher.state()["running"])
    state = rig.publisher.state()
    assert (state["failed"], state["error"], state["subscribers"]) == (1, "Fatal: gone", 0)
    assert "there are none any more" in caplog.text
    monkeypatch.setattr(rig.publisher, "_put", lambda *each, **more: pytest.fail("copied for nobody"))
    rig.show()
    finishes(rig.publisher.close)


def test_a_copy_waits_for_nobody_and_a_newer_one_takes_its_place(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    subscriber = rig.subscriber()
    rig.shown(subscriber)
    wait_until(lambda: rig.publisher._copies.empty())
    encoding: list[int] = []
    going_on = threading.Event()
    show = rig.publisher._show

    def held(socket: Any, copied: Any) -> None:
        encoding.append(copied.pose.frame.frame_id)
        assert going_on.wait(LONG_S)
        show(socket, copied)

    monkeypatch.setattr(rig.publisher, "_show", held)
    first = rig.show().frame.frame_id
    wait_until(lambda: encoding == [first])
    for _ in range(50):
        rig.show()
    newest = rig.number
    assert rig.publisher.state()["displaced"] == 49
    assert rig.publisher._copies.qsize() == 1
    going_on.set()
    wait_until(lambda: encoding == [first, newest])
    wait_until(lambda: rig.publisher._free.qsize() <= 3 and rig.publisher._copies.empty())
    while (message := subscriber.next(LONG_S)) is not None and message.frame_id != newest:
        pass
    assert message is not None


def test_a_service_that_comes_back_is_found_and_said_to_have_restarted(context: Context) -> None:
    with ExitStack() as stack:
        rig = Rig(stack, context, per_second=1000.0)
        subscriber = rig.subscriber()
        rig.shown(subscriber)
        rig.publisher.close()
        again = PicturePublisher(rig.publisher.address, "another", context, per_second=1000.0)
        again.open()
        stack.callback(again.close)
        rig.publisher = again
        message = rig.shown(subscriber)
        assert (message.session, message.restarted) == ("another", True)


def test_the_age_is_from_exposure_to_reception_where_the_clocks_are_known(rig: Rig) -> None:
    subscriber = rig.subscriber()
    message = rig.shown(subscriber)
    assert message.age_ns == message.received_ns - message.stamps.exposure_ns
    subscriber.correct(-1_000, "another")
    assert rig.shown(subscriber).age_ns is None
    subscriber.correct(-1_000, "session")
    message = rig.shown(subscriber)
    assert message.age_ns == message.received_ns - 1_000 - message.stamps.exposure_ns


def test_without_a_key_nobody_sees_anything(context: Context, tmp_path: Path) -> None:
    (handed_over,) = make_keys(tmp_path / "keys", ["screen"])
    with ExitStack() as stack:
        guard = Guard(context, load_server_keys(tmp_path / "keys"))
        guard.open()
        stack.callback(guard.close)
        rig = Rig(stack, context, per_second=1000.0, guard=guard)
        stranger = PictureSubscriber(rig.publisher.address)
        stack.callback(stranger.close)
        known = rig.subscriber(keys=handed_over)
        rig.shown(known)
        assert stranger.next(0.2) is None
        assert rig.publisher.state()["subscribers"] == 1


def test_an_address_for_everybody_needs_keys(context: Context) -> None:
    publisher = PicturePublisher("tcp://*:*", "session", context)
    with pytest.raises(AddressError, match=r"publish\.pictures\.address: .* `rtface keys new`"):
        publisher.open()
    publisher.close()


def test_it_opens_once_and_again_after_it_was_closed(context: Context) -> None:
    with ExitStack() as stack:
        rig = Rig(stack, context, per_second=1000.0, clock=ManualClock(5))
        with pytest.raises(UsageError, match="open already"):
            rig.publisher.open()
        rig.publisher.close()
        rig.publisher.close()
        rig.publisher.open()
        rig.shown(rig.subscriber())


def test_a_closed_subscriber_says_so(rig: Rig) -> None:
    subscriber = rig.subscriber()
    subscriber.close()
    subscriber.close()
    for call in (lambda: subscriber.next(0), lambda: subscriber.show("crop")):
        with pytest.raises(UsageError, match="closed"):
            call()


def test_a_context_that_ends_first_ends_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    context: Context = zmq.Context()
    publisher = PicturePublisher(FREE, "session", context)
    publisher.open()
    thread = publisher._thread
    with caplog.at_level(logging.ERROR):
        ending = threading.Thread(target=context.term)
        ending.start()
        assert thread is not None
        thread.join(LONG_S)
        ending.join(LONG_S)
    assert not thread.is_alive() and not ending.is_alive()  # noqa: PT018
    assert caplog.text == ""
    publisher.close()
