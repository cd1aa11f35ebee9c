"""The command line: arguments, progress and exit codes; no logic.

Exit codes: 0 done; 1 a failure that none of the others names; 2 wrong usage; 3 configuration; 4 camera;
5 engine; 6 back end; 7 address, keys or control; 8 data files; 9 output; 20 to 24 a guided way waits for a person;
130 interrupted before the work was done.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from rtface.cli.app import app
    from rtface.cli.terminal.screen import print_error
    from rtface.core.errors import RtfaceError
    from rtface.core.files import mark_in

    mark_in((sys.stdout, sys.stderr))
    try:
        app(prog_name="rtface")
    except RtfaceError as error:
        print_error(error)
        sys.exit(error.exit_code)
