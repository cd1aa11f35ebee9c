from __future__ import annotations

from rtface.core.check import Check
from rtface.live.selftest import Verdict

PLAIN = {"what": "ports", "verdict": "warn", "text": "taken", "mend": "take others"}


def test_messages_files_and_json_call_the_fix_mend() -> None:
    check = Check("ports", "warn", "taken", "take others")
    assert check.as_dict() == PLAIN
    assert Verdict((check,)).findings() == [PLAIN]
