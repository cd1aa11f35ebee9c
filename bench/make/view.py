"""Give shipped engines their view: ``python -m bench.make.view --data SIDE_VIEW engines/face-2 engines/face-2-int8``.

It is made from the frames that they were trained on: those of the side view, and simulated mice. What is kept are means and
limits, not pictures. The engines' manifests, and so their hashes and what was verified of them, stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.make.engine import SIMULATED_SEED, SIMULATED_VIEWS
from bench.result import parser_of
from bench.tracker.side_view import read_side_view
from rtface.learn.engines.viewmaking import view_of_engine
from rtface.learn.tracker.samples import simulated_pictures
from rtface.track.store import load_engine
from rtface.track.view import view_in_words, write_view


def main(given: Sequence[str] | None = None) -> None:
    """Make and write the view of each engine."""
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with labels.csv and frames/")
    parser.add_argument("engines", nargs="+", help="folders of engines")
    options = parser.parse_args(given)
    real = [frame.image for frame in read_side_view(options.data).frames][::2]
    mice = [picture.image for picture in simulated_pictures(SIMULATED_VIEWS, SIMULATED_SEED)]
    for folder in options.engines:
        engine = load_engine(folder)
        view = view_of_engine(
            engine, real + mice, made_from={"real_frames": len(real), "simulated_mice": len(mice)}
        )
        write_view(engine.folder, view)
        print(engine.manifest.name, view_in_words(view))


if __name__ == "__main__":
    main()
