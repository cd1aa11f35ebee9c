from __future__ import annotations

import os

import pytest

from rtface.offline.tracking import _printable


@pytest.mark.parametrize(
    ("name", "text"), [(b"M\xe4use.mp4", "M\ufffduse.mp4"), ("Mäuse.mp4".encode(), "Mäuse.mp4")]
)
def test_a_name_of_any_bytes_is_text_that_a_file_holds(name: bytes, text: str) -> None:
    assert _printable(os.fsdecode(name)) == text
    _printable(os.fsdecode(name)).encode("utf-8")
