"""Label sets of any format that rtface reads, which is found out from the files."""

from __future__ import annotations

from pathlib import Path

from rtface.core.errors import DataError
from rtface.learn.labels.formats.deeplabcut import CONFIG_FILE, DATA_FOLDER, FILE_STEM, read_deeplabcut
from rtface.learn.labels.formats.facemap import read_facemap
from rtface.learn.labels.formats.sleap import read_sleap
from rtface.learn.labels.formats.table import TABLE_FILE, read_table
from rtface.learn.labels.labelset import LabelSet

_KNOWN = (
    f"rtface's {TABLE_FILE} or its folder, a DeepLabCut project ({CONFIG_FILE} and {DATA_FOLDER}), folder of labels or "
    f"{FILE_STEM}_* file (.csv, .h5), SLEAP's .slp, Facemap's refined data (.npy)"
)


def read_labels(*paths: Path) -> LabelSet:
    """Read label sets, each of whatever format, as one set.

    Keypoints keep the names of their files; those of several sets are united by name, in the order in which they
    first come, and a frame has no label for a keypoint that its set lacks. `LabelSet.renamed` brings names together.

    Parameters
    ----------
    *paths : Path
        One or more files or folders: rtface's csv (`rtface.learn.labels.formats.table`), DeepLabCut
        (`.deeplabcut`), SLEAP (`.sleap`) or Facemap's refined data (`.facemap`).

    Raises
    ------
    DataError
        A path is missing or of no known format, what it holds is wrong, a frame is in two of the sets, or no path
        was given.
    """
    if not paths:
        raise DataError("no label set was named")
    if len({path.resolve() for path in paths}) < len(paths):
        raise DataError(f"a label set is named twice: {', '.join(map(str, paths))}")
    return _unite([(path, _read_one(path)) for path in paths])


def _unite(sets: list[tuple[Path, LabelSet]]) -> LabelSet:
    """Return several sets, each with where it is from, as one; DataError where two hold the same frame."""
    names = tuple(dict.fromkeys(name for _, labels in sets for name in labels.keypoints))
    origin: dict[tuple[str, str], Path] = {}
    for path, labels in sets:
        for frame in labels.frames:
            earlier = origin.setdefault((frame.video, frame.name), path)
            if earlier is not path:
                raise DataError(
                    f"{path}: frame {frame.name!r} of video {frame.video!r} is in {earlier} too; "
                    "leave it out of one, or rename the video if they are two recordings"
                )
    return LabelSet(names, tuple(frame for _, labels in sets for frame in labels.arranged(names).frames))


def _read_one(path: Path) -> LabelSet:
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise DataError(f"{path} does not exist; labels are {_KNOWN}")
    suffix = path.suffix.lower()
    if suffix == ".slp":
        return read_sleap(path)
    if suffix == ".npy":
        return read_facemap(path)
    if suffix in (".h5", ".hdf5"):
        return read_deeplabcut(path)
    if suffix == ".csv":
        return read_deeplabcut(path) if _first_cell(path) == "scorer" else read_table(path)
    raise DataError(f"{path} is of no format of labels that rtface reads; labels are {_KNOWN}")


def _read_folder(folder: Path) -> LabelSet:
    table = (folder / TABLE_FILE).is_file()
    deeplabcut = (
        (folder / CONFIG_FILE).is_file()
        or (folder / DATA_FOLDER).is_dir()
        or any(file.suffix in (".csv", ".h5") for file in folder.glob(f"{FILE_STEM}*"))
    )
    if table and deeplabcut:
        raise DataError(f"{folder} holds {TABLE_FILE} and labels of DeepLabCut's; name the one file")
    if table:
        return read_table(folder)
    if deeplabcut:
        return read_deeplabcut(folder)
    raise DataError(f"{folder} holds no labels; labels are {_KNOWN}")


def _first_cell(path: Path) -> str:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return file.readline().split(",")[0].strip().strip('"')
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
