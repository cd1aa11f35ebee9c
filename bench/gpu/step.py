"""One step of a session, in a process of its own: ``python -m bench.gpu.step NAME FILE [--rehearse]``."""

from __future__ import annotations

import argparse
import sys
import traceback
from pathlib import Path

from bench.gpu import correct, timing
from bench.gpu.card import card
from rtface.core.files import write_json
from rtface.core.machine import run_facts

STEPS = {
    "look": correct.look,
    "kernels": correct.check_kernels,
    "graph": correct.check_graph,
    "1000_hz": timing.at_1000_hz,
    "200_hz": timing.at_200_hz,
    "facemap": timing.facemap,
    "parity": correct.check_parity,
    "restart": correct.restart,
    "restarts": correct.check_restarts,
    "busy_threads": timing.beside_busy_threads,
}


def main() -> None:
    """Run it and write what it found, or its error; exit code 1 then."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=STEPS)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rehearse", action="store_true", help="on the CPU, with an emulated GPU")
    asked = parser.parse_args()
    made = run_facts() | {"rehearsal": asked.rehearse}
    try:
        with card(asked.rehearse) as on:
            made["result"] = STEPS[asked.name](on)
    except Exception as error:
        traceback.print_exc()
        made["error"] = f"{type(error).__name__}: {error}"
    write_json(asked.file, made)
    sys.exit("error" in made)


if __name__ == "__main__":
    main()
