from __future__ import annotations

from dataclasses import asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtface.core.errors import UsageError
from rtface.stimulate.gate.limits import MEANINGS, differences, fingerprint, propose
from rtface.stimulate.gate.protocol import DEFAULT_LIMITS, from_payload, to_payload


def test_what_is_not_changed_stays_and_the_change_is_counted() -> None:
    proposal = propose(DEFAULT_LIMITS, {"max_on_us": "5000"}, " Ada ")
    assert differences(DEFAULT_LIMITS, proposal) == [
        ("max_on_us", 20_000, 5000),
        ("counter", 0, 1),
        ("signed_off_by", "", "Ada"),
    ]


@pytest.mark.parametrize(
    ("changes", "signer", "message"),
    [
        ({"max_on": 5}, "Ada", "did you mean max_on_us"),
        ({"counter": 9}, "Ada", "no limit 'counter'"),
        ({"max_on_us": "5 ms"}, "Ada", "max_on_us takes a whole number"),
        ({"max_on_us": 5.5}, "Ada", "whole number"),
        ({"amplitude_wired": True}, "Ada", "whole number"),
        ({"arm_switch": 0}, "Ada", "the arm switch is always needed"),
        ({"max_amplitude": 100}, "Ada", "needs amplitude_wired = 1"),
        ({"max_on_us": 19}, "Ada", "not within 20 to"),
        ({"deadman_ms": 201}, "Ada", "not within 20 to 200"),
        ({"window_ms": 1001}, "Ada", "multiple of 16"),
        ({"window_ms": 160, "window_on_us": 160_001}, "Ada", "longer than the window"),
        ({"photodiode_wired": 2}, "Ada", "0 to 1"),
        ({"photodiode_wired": 1, "min_off_us": 1_999}, "Ada", "must see dark between two pulses"),
        ({"light_rise_us": 99}, "Ada", "100 to 50000"),
        ({}, "  ", "signs them off"),
        ({}, "a name of far more than twenty bytes", "up to 20 bytes"),
    ],
)
def test_what_the_firmware_would_refuse_is_refused_with_its_reason(
    changes: dict[str, object], signer: str, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        propose(DEFAULT_LIMITS, changes, signer)


@given(st.dictionaries(st.sampled_from(sorted(MEANINGS)), st.integers(-1, 1 << 33)), st.text(max_size=30))
def test_every_proposal_can_be_sent(changes: dict[str, object], signer: str) -> None:
    try:
        proposal = propose(DEFAULT_LIMITS, changes, signer.replace("\0", ""))
    except UsageError:
        return
    assert from_payload(proposal.TYPE, to_payload(proposal)) == proposal
    assert asdict(proposal) == asdict(DEFAULT_LIMITS) | changes | {
        "counter": 1,
        "signed_off_by": proposal.signed_off_by,
    }


def test_limits_without_a_photodiode_have_the_fingerprint_that_they_had_before_there_was_one() -> None:
    signed = replace(DEFAULT_LIMITS, counter=1, signed_off_by="emulation")
    assert fingerprint(signed) == "cd778e92e01d9844"  # of docs/examples/whisking
    assert fingerprint(replace(signed, light_rise_us=101, light_fall_us=101)) == fingerprint(signed)


def test_a_fingerprint_is_of_every_value_but_the_count_of_changes() -> None:
    signed = replace(DEFAULT_LIMITS, counter=1, signed_off_by="Ada", photodiode_wired=1)
    assert len(fingerprint(signed)) == 16
    assert fingerprint(replace(signed, counter=7)) == fingerprint(signed)
    for field in fields(signed):
        if field.name != "counter":
            other = "Bob" if field.name == "signed_off_by" else 101
            assert fingerprint(replace(signed, **{field.name: other})) != fingerprint(signed), field.name
