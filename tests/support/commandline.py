"""The command line in this process: an interpreter for each command would take longer than what most of them do."""

from __future__ import annotations

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from subprocess import CompletedProcess
from unittest.mock import patch

from rtface.cli import main
from rtface.cli.terminal import screen
from support.documents import check_documents


def run(*arguments: object, columns: int = 200) -> CompletedProcess[str]:
    """Run ``rtface ARGUMENTS`` to its end, on a terminal so many columns wide without a keyboard; JSON must fit its schema."""
    command = ["rtface", *map(str, arguments)]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        open(os.devnull, encoding="ascii") as nobody,
        patch.multiple(sys, argv=command, stdin=nobody),
        patch.dict(os.environ, COLUMNS=str(columns)),
        patch.object(screen.OUT, "_width", columns),
        patch.object(screen.ERR, "_width", columns),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 0
    check_documents(arguments, out.getvalue(), err.getvalue())
    return CompletedProcess(command, code, out.getvalue(), err.getvalue())
