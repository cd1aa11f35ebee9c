"""``rtface learn labels``: what is in label sets, and all of it as one set of our own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from rtface.cli.learn.options import LabelsArgument, RenameOption, parse_renames
from rtface.cli.options import JsonOption
from rtface.cli.terminal.screen import OUT, plain_table, print_json, print_line

if TYPE_CHECKING:
    from rtface.learn.labels.labelset import LabelSet


def labels(
    paths: LabelsArgument,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write all as one set of rtface's: a new folder.")
    ] = None,
    rename: RenameOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what label sets hold: labels by keypoint, frames and image sizes by video. Several become one."""
    from rtface.learn.labels.formats.table import write_table
    from rtface.learn.labels.reading import read_labels

    renames = parse_renames(rename)
    found = read_labels(*paths).renamed(renames)
    written = None if out is None else write_table(found, out)
    counts = _labels_by_keypoint(found)
    videos = {video: found.only([video]) for video in found.videos}
    if as_json:
        print_json(
            {
                "frames": len(found),
                "labels": found.labels,
                "keypoints": counts,
                "videos": {
                    video: {"frames": len(part), "labels": part.labels, "sizes": _sizes(part)}
                    for video, part in videos.items()
                },
                "notes": list(found.notes),
                "public_sets": [each.origin() for each in found.origins],
                "written": None if written is None else str(written),
            }
        )
        return
    by_keypoint = plain_table("keypoint", right=("labels",))
    for keypoint, count in counts.items():
        by_keypoint.add_row(escape(keypoint), str(count))
    by_video = plain_table("video", right=("frames", "labels", "image sizes"))
    for video, part in videos.items():
        by_video.add_row(escape(video), str(len(part)), str(part.labels), ", ".join(_sizes(part)))
    OUT.print(by_keypoint)
    OUT.print(by_video)
    for note in found.notes:
        print_line(note)
    for each in found.origins:
        print_line(f"of the public set {each.name}: {each.licence}. Cite: {each.citation or each.title}")
    print_line(f"{found.labels} labels on {len(found)} frames")
    if written is not None:
        print_line(f"written: {written}")


def _labels_by_keypoint(found: LabelSet) -> dict[str, int]:
    return {keypoint: found.arranged([keypoint]).labels for keypoint in found.keypoints}


def _sizes(part: LabelSet) -> list[str]:
    """Return the sizes of a set's images, WIDTHxHEIGHT, smallest first."""
    shapes = sorted({(frame.image.shape[1], frame.image.shape[0]) for frame in part.frames})
    return [f"{width}x{height}" for width, height in shapes]
