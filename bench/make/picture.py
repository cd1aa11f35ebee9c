"""Draw the README's picture: what the default engine finds on the simulated mouse, and what a rule made of it.

python -m bench.make.picture docs/images/overview.png
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from bench.result import parser_of
from rtface.config import BackendSettings, SimulatedCameraSettings
from rtface.core.clock import NS_PER_S
from rtface.core.decision import Action
from rtface.live.rulesfile import Rules
from rtface.offline.dryrun import dry_run, on_time_axis
from rtface.offline.tracking import track_recording
from rtface.record.table import PoseTable
from rtface.simulate.face import MouseFace
from rtface.track.backends.factory import engine_for

RULES = Path(__file__).resolve().parents[2] / "docs" / "examples" / "whisking" / "rules.yaml"
WIDTH, HEIGHT, RATE_HZ, SECONDS = 640, 480, 200.0, 9.0
SHOWN_S = 4.0
LABELS = {  # where a name is written, in points from its keypoint
    "eye(back)": (6, 2, "left"),
    "eye(bottom)": (0, -12, "center"),
    "eye(front)": (-6, 2, "right"),
    "eye(top)": (0, 6, "center"),
    "nose(top)": (0, 8, "center"),
    "nose(tip)": (7, -2, "left"),
    "nose(bottom)": (7, -4, "left"),
    "whisker(I)": (7, 4, "left"),
    "whisker(II)": (7, 0, "left"),
    "whisker(III)": (7, -6, "left"),
    "mouth": (7, -6, "left"),
    "lowerlip": (7, -8, "left"),
}


def tracked() -> PoseTable:
    """Return the keypoints of the simulated mouse, on its own time."""
    camera = SimulatedCameraSettings(
        width=WIDTH, height=HEIGHT, rate_hz=RATE_HZ, frames=round(RATE_HZ * SECONDS), paced=False
    )
    settings = BackendSettings()
    table = track_recording(camera, engine_for("default", settings), settings).table
    return dataclasses.replace(
        table, camera_ns=np.round(table.frame_id * NS_PER_S / RATE_HZ).astype(np.int64)
    )


def draw(path: Path) -> None:
    """Track, run the rules of the example and draw."""
    table = tracked()
    run = dry_run(Rules(RULES), on_time_axis(table))
    (rule,) = run.rules.spec.rules
    fired = run.of(rule, Action.FIRE, Action.SHAM)[0]
    assert fired.frame_id is not None
    fired_s = (fired.session_ns or 0) / NS_PER_S

    figure = Figure(figsize=(11, 4.2), dpi=100, layout="constrained")
    picture, trace = figure.subplots(1, 2, width_ratios=(1, 1.25))
    image = np.empty((HEIGHT, WIDTH), np.uint8)
    MouseFace(WIDTH, HEIGHT, RATE_HZ, 0).render(fired.frame_id, image)
    picture.imshow(image, cmap="gray", vmin=0, vmax=255)
    for name, (x, y) in zip(table.names, table.xy[fired.frame_id], strict=True):
        if name in LABELS:
            dx, dy, side = LABELS[name]
            picture.plot(x, y, "o", markersize=5, color="tab:orange", markeredgecolor="white")
            picture.annotate(
                name,
                (x, y),
                (dx, dy),
                textcoords="offset points",
                ha=side,
                fontsize=7.5,
                color="white",
                path_effects=[withStroke(linewidth=2, foreground="black")],
            )
    picture.set_axis_off()
    picture.set_title("the simulated mouse, keypoints of the default engine", fontsize=9)

    trace.plot(run.times_s, run.values[:, run.names.index("pad.amplitude")], color="0.2", linewidth=0.8)
    for level, style in ((3, "--"), (2, ":")):
        trace.axhline(level, color="tab:blue", linestyle=style, linewidth=1)
    train_s = fired.pulse.duration_ns / NS_PER_S if fired.pulse is not None else 0.1
    trace.axvspan(fired_s, fired_s + train_s, color="tab:orange", alpha=0.6, linewidth=0)
    trace.annotate(
        "light",
        (fired_s + train_s, trace.get_ylim()[1]),
        (4, -14),
        textcoords="offset points",
        color="tab:orange",
    )
    trace.set(
        xlim=(fired_s - SHOWN_S / 2, fired_s + SHOWN_S / 2),
        xlabel="session time (s)",
        ylabel="amplitude of whisking (px)",
    )
    trace.set_title("when: pad.amplitude > 3   release: pad.amplitude < 2   dwell_ms: 50", fontsize=9)
    trace.spines[["top", "right"]].set_visible(False)
    figure.savefig(path)


if __name__ == "__main__":
    parser = parser_of(__doc__)
    parser.add_argument("out", type=Path)
    draw(parser.parse_args().out)
