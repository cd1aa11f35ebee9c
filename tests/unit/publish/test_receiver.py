from __future__ import annotations

import msgpack
from hypothesis import given
from hypothesis import strategies as st
from support.publishing import LOSSES, STATUS, make_pose

from rtface.publish.keypoints import TOPIC_KEYPOINTS, Keypoints, encode_keypoints
from rtface.publish.receiver import Receiver
from rtface.publish.status import TOPIC_STATUS, encode_status

PACKER = msgpack.Packer()


def message(seq: int, session: str = "a") -> list[bytes]:
    return [TOPIC_KEYPOINTS, encode_keypoints(PACKER, session, seq, make_pose(seq), LOSSES, 2_000)]


def taken(receiver: Receiver, seq: int, session: str = "a", received_ns: int = 9_000) -> Keypoints:
    keypoints = receiver.take(message(seq, session), received_ns)
    assert keypoints is not None
    assert (keypoints.seq, keypoints.session) == (seq, session)
    return keypoints


@given(st.integers(0, 1_000), st.sets(st.integers(0, 60), min_size=1))
def test_what_arrived_and_what_was_missed_add_up_to_what_was_sent(start: int, arrived: set[int]) -> None:
    receiver = Receiver(0)
    missed = sum(taken(receiver, start + seq).missed for seq in sorted(arrived))
    assert missed + len(arrived) == max(arrived) - min(arrived) + 1


def test_joining_late_is_no_loss() -> None:
    first = taken(Receiver(0), 500)
    assert first.missed == 0
    assert not first.restarted


def test_a_restart_is_told_once_and_its_first_messages_are_missed() -> None:
    receiver = Receiver(0)
    taken(receiver, 7)
    fresh = taken(receiver, 2, session="b")
    assert fresh.restarted
    assert fresh.missed == 2
    after = taken(receiver, 3, session="b")
    assert not after.restarted
    assert after.missed == 0


def test_a_number_that_goes_back_is_not_a_loss() -> None:
    receiver = Receiver(0)
    taken(receiver, 7)
    assert taken(receiver, 5).missed == 0


def test_the_age_is_of_the_service_clock() -> None:
    for offset_ns, age_ns in ((0, 8_000), (-3_000, 5_000), (None, None)):
        keypoints = taken(Receiver(offset_ns), 0, received_ns=9_000)
        assert keypoints.stamps.exposure_ns == 1_000
        assert keypoints.received_ns == 9_000
        assert keypoints.age_ns == age_ns


def test_an_offset_that_was_measured_is_forgotten_with_the_service_it_was_measured_of() -> None:
    receiver = Receiver(None)
    receiver.correct(-3_000)
    assert [taken(receiver, seq).age_ns for seq in range(2)] == [5_000, 5_000]
    assert [taken(receiver, seq, session="b").age_ns for seq in range(2)] == [None, None]
    receiver.correct(-4_000)
    assert [taken(receiver, seq, session="b").age_ns for seq in range(2, 4)] == [4_000, 4_000]


def test_an_offset_that_was_measured_of_the_new_service_holds_for_its_messages_alone() -> None:
    receiver = Receiver(None)
    receiver.correct(-3_000, "a")
    assert taken(receiver, 0).age_ns == 5_000
    receiver.correct(-6_000, "b")  # said hello before the first message of the new one came
    assert taken(receiver, 1).age_ns is None
    assert [taken(receiver, seq, session="b").age_ns for seq in range(2)] == [2_000, 2_000]
    assert taken(receiver, 0, session="c").age_ns is None


def test_the_same_clock_stays_the_same_when_the_service_restarts() -> None:
    receiver = Receiver(0)
    assert taken(receiver, 0).age_ns == 8_000
    assert taken(receiver, 0, session="b").age_ns == 8_000
    receiver.correct(0, "b")
    assert taken(receiver, 0, session="c").age_ns == 8_000


def test_malformed_messages_are_counted_and_change_nothing() -> None:
    receiver = Receiver(0)
    taken(receiver, 0)
    topic, body = message(1)
    later = msgpack.packb(msgpack.unpackb(body) | {"v": 2})
    malformed = [
        [],
        [topic],
        [body],
        [topic, b""],
        [topic, body, b""],
        [b"other", body],
        [TOPIC_STATUS, body],
        [topic, later],
    ]
    for parts in malformed:
        assert receiver.take(parts, 0) is None
    assert receiver.malformed == len(malformed)
    assert receiver.latest_status is None
    assert taken(receiver, 1).missed == 0


def test_the_latest_status_is_kept() -> None:
    receiver = Receiver(0)
    for seq in range(2):
        assert receiver.take([TOPIC_STATUS, encode_status(PACKER, "a", seq, 10 + seq, STATUS)], 0) is None
    assert receiver.latest_status is not None
    assert (receiver.latest_status.seq, receiver.latest_status.t_ns) == (1, 11)
    assert receiver.latest_status.status == STATUS
    assert receiver.malformed == 0
