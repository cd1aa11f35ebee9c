"""A report in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def page(report: Mapping[str, Any], command: str) -> str:
    """Return the Markdown of a report; its pictures lie beside it."""
    kind = (
        "a SIMULATED population: it shows how good a method is, and nothing of the brain"
        if report["simulated"]
        else "a recording"
    )
    lines = [
        "# Population report",
        "",
        f"Of {kind}. {report['neurons']} neurons, {report['samples']} samples over {report['seconds']} s.",
        "",
    ]
    if command:
        lines += ["```", command, "```", ""]

    def picture(name: str, words: str) -> None:
        if f"{name}.png" in report["pictures"]:
            lines.extend([f"![{words}]({name}.png)", ""])

    if part := report.get("components"):
        lines += ["## Components", ""]
        line = (
            f"{part['components']} {part['of']}, variance explained together {part['variance_explained']:.3f}"
        )
        if "ceiling" in part:
            line += f" of a ceiling of {part['ceiling']:.3f} ({100 * part['of_ceiling']:.0f} %)"
        lines.append(f"{line}. Predicted by: {part['predicted_by']}.")
        if "ridge" in part:
            lines.append(f"Ridge regression from causal filters of the same inputs: {part['ridge']:.3f}.")
        if null := part.get("null"):
            lines.append(
                f"The null, that regression of activity moved in time by {null['shifts']} shifts: mean {null['mean']:.3f}, "
                f"at most {null['most']:.3f}. What is not above it is no sign of a relation."
            )
        lines.append("")
        picture("traces", "recorded and predicted components")
        picture("explained", "variance explained by component")
    if part := report.get("clusters"):
        lines += ["## Clusters", "", f"{part['clusters']} clusters by {part['method']}."]
        if "predicted_by" in part:
            lines.append(
                f"Predictability from {part['predicted_by']}: mean correlation {part['mean_correlation']:.2f} on held-out time."
            )
        if test := part.get("locality_against_predictability"):
            lines += [
                f"Locality against predictability: Spearman {test['spearman']:.2f}, permutation p = {test['p']:.2g},",
                f"{test['n']} clusters (negative: what behaviour predicts is spread).",
            ]
        lines.append("")
        picture("clusters", "predictability and locality of clusters")
    if part := report.get("states"):
        lines += [
            "## States of the latents",
            "",
            f"Latents: {report['latents']}.",
            f"{part['states']} states, steps of {part['step_s']:.2g} s.",
        ]
        if part.get("still_rising"):
            lines.append(
                "The held-out likelihood still rises with the most states tried; the knee of its curve was taken."
            )
        if "adjusted_rand_index" in part:
            lines.append(f"Adjusted Rand index against the true moods: {part['adjusted_rand_index']:.2f}.")
        if arrow := part.get("irreversibility"):
            lines.append(
                f"Entropy production {arrow['entropy_production']:.3f} nats a jump; reversible surrogates "
                f"{arrow['reversible_surrogates_mean']:.3f}, shuffled {arrow['shuffled']:.3f}; p = {arrow['p']:.2g}."
            )
        back = part["reversal"]
        if back["pairs"]:
            lines.append(
                f"Likely jumps: {back['pairs']}, mean probability {back['forward']:.2f}, of the way back "
                f"{back['reverse']:.2f} (all jumps {back['baseline']:.2f}); two jumps on {back['two_steps_on']:.2f}, "
                f"two jumps back {back['two_steps_back']:.2f}."
            )
        lines.append("")
        for name, words in (
            ("state_number", "held-out likelihood by number of states"),
            ("states", "jumps, lifetimes, concentration"),
            ("states_in_time", "a minute of features and states"),
            ("arrow_of_time", "entropy production against surrogates"),
        ):
            picture(name, words)
    if part := report.get("forecast"):
        halves = ", ".join(
            f"{group} {each['half_s']:.2g} s" if each["half_s"] is not None else f"{group} not reached"
            for group, each in part.items()
        )
        lines += [
            "## Forecast of keypoints",
            "",
            f"Half of the first lag's variance explained is lost after: {halves}.",
            "",
        ]
        picture("forecast", "variance explained of the future by lag")
    if report["left_out"]:
        lines += ["## Left out", "", *(f"- {each}" for each in report["left_out"]), ""]
    return "\n".join(lines)
