"""The cipher and the blocks of a seal: what comes out is what went in, and its size says nothing of it."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtface.core.errors import DataError
from rtface.record.seal.blocks import BLOCK, SealedQueue, opened_items
from rtface.record.seal.cipher import TAG_BYTES, Cipher, fingerprint

KEY, OTHER = bytes(range(32)), bytes(range(1, 33))


def test_a_block_opens_with_its_key_and_number_alone() -> None:
    sealed = Cipher(KEY).seal(7, b"light" * 100)
    assert b"light" not in sealed
    assert Cipher(KEY).open(7, sealed) == b"light" * 100
    for cipher, number, data in (
        (Cipher(OTHER), 7, sealed),
        (Cipher(KEY), 8, sealed),
        (Cipher(KEY), 7, sealed[:-1]),
        (Cipher(KEY), 7, bytes([sealed[0] ^ 1]) + sealed[1:]),
    ):
        with pytest.raises(DataError, match="not sealed with this key"):
            cipher.open(number, data)
    assert fingerprint(KEY) != fingerprint(OTHER)
    assert KEY.hex() not in fingerprint(KEY)


def test_the_same_content_is_sealed_otherwise_in_each_block() -> None:
    assert Cipher(KEY).seal(1, bytes(64)) != Cipher(KEY).seal(2, bytes(64))
    assert Cipher(KEY).seal(1, bytes(64)) != Cipher(OTHER).seal(1, bytes(64))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.binary(max_size=200), max_size=30), max_size=12))
def test_all_that_waits_comes_out_in_order_and_every_block_is_of_one_size(visits: list[list[bytes]]) -> None:
    queue = SealedQueue(Cipher(KEY))
    blocks: dict[int, bytes] = {}
    put: list[tuple[int, int, int, bytes]] = []

    def write() -> None:
        number, data, _ = queue.block()
        blocks[number] = data

    for place, visit in enumerate(visits):
        for payload in visit:
            put.append((place, 3 * place, 9, payload))
            queue.put(*put[-1])
        write()
    while len(queue):
        write()
    assert {len(each) for each in blocks.values()} <= {BLOCK + TAG_BYTES}
    assert list(blocks) == list(range(len(blocks)))
    items = opened_items(blocks, KEY)
    assert [each[1:] for each in items] == put
    assert [each.number for each in items] == list(range(len(put)))


def test_what_alone_is_larger_than_a_block_is_not_lost() -> None:
    queue = SealedQueue(Cipher(KEY))
    large = os.urandom(5 * BLOCK)
    for payload in (b"a", large, b"b"):
        queue.put(0, 0, 9, payload)
    blocks = {}
    while len(queue):
        number, data, _ = queue.block()
        blocks[number] = data
    assert [each.payload for each in opened_items(blocks, KEY)] == [b"a", large, b"b"]


def test_a_block_that_is_missing_takes_its_own_entries_alone() -> None:
    queue = SealedQueue(Cipher(KEY))
    blocks = {}
    for payload in (b"a", b"b", b"c"):
        queue.put(0, 0, 9, payload)
        number, data, _ = queue.block()
        blocks[number] = data
    del blocks[1]
    assert [(each.number, each.payload) for each in opened_items(blocks, KEY)] == [(0, b"a"), (2, b"c")]
