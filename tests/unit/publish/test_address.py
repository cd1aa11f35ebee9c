from __future__ import annotations

import pytest

from rtface.core.defaults import LOOPBACK_CONTROL, LOOPBACK_KEYPOINTS
from rtface.core.errors import AddressError
from rtface.publish.address import check_address, is_loopback

LOOPBACK = [
    LOOPBACK_KEYPOINTS,
    LOOPBACK_CONTROL,
    "tcp://127.0.0.1:*",
    "tcp://127.8.9.10:1",
    "tcp://localhost:5570",
    "tcp://[::1]:5570",
    "ipc:///tmp/rtface",
    "inproc://rtface",
]
BEYOND = [
    "tcp://*:5570",
    "tcp://0.0.0.0:5570",
    "tcp://[::]:5570",
    "tcp://192.168.1.2:5570",
    "tcp://eth0:5570",
    "tcp://lo:5570",
    "tcp://127.0.0.1.example.org:5570",
    "tcp://localhost.example.org:5570",
    "tcp://rig:5570",
    "tcp://192.0.2.1:1;tcp://127.0.0.1:1",
]
MALFORMED = [
    "",
    "127.0.0.1:5570",
    "tcp://",
    "udp://127.0.0.1:5570",
    "pgm://127.0.0.1:5570",
    "TCP://127.0.0.1:1",
]
MALFORMED += [f"tcp://127.0.0.1{port}" for port in ("", ":", ":x", ":-1", ":65536", ":99999", ":٣")]


@pytest.mark.parametrize("address", LOOPBACK)
def test_loopback_needs_no_keys(address: str) -> None:
    assert is_loopback(address)
    check_address(address, "publish.keypoints", has_keys=False)


@pytest.mark.parametrize("address", BEYOND)
def test_any_other_address_needs_keys(address: str) -> None:
    assert not is_loopback(address)
    check_address(address, "publish.keypoints", has_keys=True)
    with pytest.raises(AddressError, match=r"publish\.control: .*rtface keys new"):
        check_address(address, "publish.control", has_keys=False)


@pytest.mark.parametrize("address", MALFORMED)
@pytest.mark.parametrize("has_keys", [True, False])
def test_a_malformed_address_is_refused_with_or_without_keys(address: str, has_keys: bool) -> None:
    with pytest.raises(AddressError, match=r"publish\.keypoints: .* is not an address"):
        check_address(address, "publish.keypoints", has_keys)
