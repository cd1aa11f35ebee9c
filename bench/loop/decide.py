"""What features and rules cost a frame: the example's rules file over the simulated mouse's true keypoints.

Also the two by themselves, and the cost of each further rule of the example's size.

    python -m bench.loop.decide [--frames 20000] [--rules FILE] [--name decide]
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from bench.result import RESULTS, microseconds, parser_of, write
from rtface.core.decision import Action
from rtface.core.records import FACEMAP_KEYPOINTS, FrameMeta, Pose, Stamps
from rtface.decide.rulebank import RuleBank
from rtface.live.rulesfile import Rules
from rtface.simulate.face import MouseFace

RATE_HZ = 200.0
WARM_UP = 500
COPIES = (1, 4, 16)


def poses(count: int) -> list[Pose]:
    """Return true keypoints with noise, as a tracker would find them."""
    face, rng = MouseFace(640, 480, RATE_HZ, 1), np.random.default_rng(0)
    made = []
    for index in range(count):
        xy = face.truth(index) + rng.normal(0, 0.3, (len(FACEMAP_KEYPOINTS), 2)).astype(np.float32)
        score = np.where(np.isnan(xy[:, 0]), 0, 0.95).astype(np.float32)
        exposure_ns = round(index * 1e9 / RATE_HZ)
        stamps = Stamps(*[exposure_ns] * 6)
        made.append(
            Pose(FrameMeta(index, exposure_ns, exposure_ns), stamps, xy, score, np.zeros(len(xy), np.bool_))
        )
    return made


def deciding(rules: RuleBank, decide: Callable[[Pose, int], Any]) -> Callable[[Pose], None]:
    """Return what a live loop does with a pose, with an output that ends each pulse at once."""

    def act(pose: Pose) -> None:
        now_ns = pose.frame.exposure_ns + 3_000_000
        for each in decide(pose, now_ns):
            if each.action is Action.FIRE:
                rules.ended(now_ns, each.rule, each.trial)

    return act


def measure(rules: Rules, frames: list[Pose]) -> dict[str, Any]:
    """Return all figures."""
    together = rules.evaluator(FACEMAP_KEYPOINTS, RATE_HZ)
    together.arm(0)
    alone = rules.evaluator(FACEMAP_KEYPOINTS, RATE_HZ)
    result: dict[str, Any] = {
        "features_and_rules": microseconds(deciding(together, together.evaluate), frames, WARM_UP),
        "features": microseconds(alone.bank.update, frames, WARM_UP),
        "values": len(alone.bank.names),
        "rules": len(rules.spec.rules),
        "by_number_of_rules": {},
    }
    for copies in COPIES:
        many = {f"{name}_{copy}": spec for copy in range(copies) for name, spec in rules.spec.rules.items()}
        named = {
            name: spec.model_copy(
                update={
                    "when": spec.when
                    and spec.when.replace("rule.calm", f"rule.calm_{name.rpartition('_')[2]}")
                }
            )
            for name, spec in many.items()
        }
        bank, copied = rules.evaluator(FACEMAP_KEYPOINTS, RATE_HZ).bank, RuleBank(named, alone.bank.names)
        copied.arm(0)

        def decide(pose: Pose, now_ns: int, bank: Any = bank, copied: RuleBank = copied) -> Any:
            return copied.frame(pose.frame.frame_id, pose.frame.exposure_ns, now_ns, bank.update(pose))

        result["by_number_of_rules"][str(len(named))] = microseconds(
            deciding(copied, decide), frames, WARM_UP
        )
    return result


def main() -> None:
    """Measure and write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--rules", type=Path, help="a rules file; the example when absent")
    parser.add_argument("--name", default="decide")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    with as_file(files("rtface.cli").joinpath("example_rules.yaml")) as example:
        result = measure(Rules(given.rules or example), poses(given.frames + WARM_UP))
    write(given.out / f"{given.name}.json", result | {"frames": given.frames})
    print(
        json.dumps(
            {key: result[key] for key in ("features_and_rules", "features", "by_number_of_rules")}, indent=1
        )
    )


if __name__ == "__main__":
    main()
