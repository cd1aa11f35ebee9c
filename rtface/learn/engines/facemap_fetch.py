"""Fetching Facemap's published weights from where Facemap itself downloads them.

They are the work of Facemap's authors and not part of rtface; no licence of their own is stated with them.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from rtface.core.errors import EngineError
from rtface.core.files import written_whole
from rtface.learn.fetch.download import FetchedFile, receive

STATE_URL = "https://osf.io/download/67f00be8959068ade6cf70f1/"
"""The state file, as Facemap 1.0.8 downloads it (the authors' project at osf.io)."""

PARAMS_URL = "https://osf.io/download/67f00beaba4331d9888b7f36/"
"""The parameter file, likewise."""

STATE_NAME = "facemap_model_state.pt"
PARAMS_NAME = "facemap_model_params.pth"

Progress = Callable[[str, int, int | None], None]
"""Called with the name of a file, the bytes that have come and the bytes there are (None: not known)."""

_LARGEST = 1 << 30


def fetch_facemap_weights(
    folder: Path,
    *,
    state_url: str = STATE_URL,
    params_url: str = PARAMS_URL,
    progress: Progress | None = None,
    timeout_s: float = 30.0,
) -> tuple[FetchedFile, FetchedFile]:
    """Download Facemap's state and parameter file.

    Files of an earlier download are replaced, each only once its successor has come whole.

    Parameters
    ----------
    folder : Path
        Where to put them; made if it does not exist.
    state_url, params_url : str
        Where to get them.
    progress : callable, optional
        See `Progress`.
    timeout_s : float
        Longest time without a byte of the server in seconds.

    Returns
    -------
    state, params : FetchedFile

    Raises
    ------
    EngineError
        A file did not come; the message names the address to fetch by hand and where to put it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EngineError(f"cannot make the folder {folder}: {error}") from error
    return (
        _fetch(state_url, folder / STATE_NAME, progress, timeout_s),
        _fetch(params_url, folder / PARAMS_NAME, progress, timeout_s),
    )


def _fetch(url: str, target: Path, progress: Progress | None, timeout_s: float) -> FetchedFile:
    try:
        with written_whole(target) as part:
            return _download(url, target, part, progress, timeout_s)
    except (OSError, ValueError, http.client.HTTPException) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        raise EngineError(
            f"cannot fetch {target.name} from {url}: {error}. Fetch it by hand on a computer with internet "
            f"access and save it as {target}"
        ) from error


def _download(url: str, target: Path, part: Path, progress: Progress | None, timeout_s: float) -> FetchedFile:
    digest = hashlib.sha256()
    with urllib.request.urlopen(url, timeout=timeout_s) as response, part.open("wb") as file:
        length = response.headers.get("Content-Length")
        total = int(length) if length is not None else None

        def report(size: int) -> None:
            if progress is not None:
                progress(target.name, size, total)

        size = receive(response, file, digest, largest=_LARGEST, progress=report)
    if total is not None and size != total:
        raise ValueError(f"the connection ended after {size} of {total} bytes")
    if size == 0:
        raise ValueError("the server sent an empty file")
    return FetchedFile(target, url, size, digest.hexdigest())
