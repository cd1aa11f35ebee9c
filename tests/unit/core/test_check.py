from __future__ import annotations

from rtface.core.check import Check
from rtface.live.check_rig import Finding
from rtface.live.selftest import Verdict

PLAIN = {"what": "ports", "verdict": "warn", "text": "taken", "mend": "take others"}


def test_messages_files_and_json_call_the_fix_mend() -> None:
    check = Check("ports", "warn", "taken", "take others")
    assert check.as_dict() == PLAIN
    assert Verdict((check,)).findings() == [PLAIN]
    assert Finding(check.what, check.verdict, check.text, check.fix, 4).as_dict() == PLAIN | {"exit_code": 4}
