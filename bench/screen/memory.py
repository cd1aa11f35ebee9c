"""A page that is left open: whether the memory of the service, of the screen and of the browser stays where it is.

`rtface demo --screen` runs in a process of its own, and a page of it is open in headless Chromium: Live, with pictures and
neural plots. Each program's resident memory is read now and then, of the browser of all its processes together, and the size of
the page's own objects. What counts is the slope of the second half: in the first caches fill.

    python -m bench.screen.memory --minutes 60 --out bench/results
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from bench.result import RESULTS, parser_of, write
from bench.screen.browser import new_browser

EVERY_S = 10.0


@contextmanager
def demo(rate: float) -> Iterator[tuple[psutil.Process, str]]:
    """Give the process of a demo with its screen, and the screen's link."""
    command = [sys.executable, "-m", "rtface", "demo", "--screen", "--encoder", "--rate", str(rate)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        link = ""
        for line in process.stderr:
            if found := re.search(r"https?://\S+enter\?token=\S+", line):
                link = found[0]
                break
        if not link:
            raise SystemExit("the demo printed no link")
        threading.Thread(target=process.stderr.read, daemon=True).start()  # a full pipe would stop it
        yield psutil.Process(process.pid), link
    finally:
        process.terminate()
        process.wait(30)


def memory_mb(process: psutil.Process, *, children: bool) -> float:
    """Return the resident memory of a process, with that of its children or without."""
    found = [process, *(process.children(recursive=True) if children else ())]
    total = 0
    for each in found:
        try:
            total += each.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 1e6


def slope_mb_per_hour(seconds: list[float], values: list[float]) -> float:
    """Return the slope of the second half, by least squares."""
    half = len(seconds) // 2
    return float(np.polyfit(seconds[half:], values[half:], 1)[0] * 3600)


def main() -> None:
    """Measure, and write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=200.0, help="frames per second of the demo")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    series: dict[str, list[float]] = {"seconds": [], "service": [], "screen": [], "browser": [], "page": []}
    with demo(arguments.rate) as (service, link), tempfile.TemporaryDirectory() as profile:
        driver = new_browser(Path(profile))
        chrome = psutil.Process(driver.service.process.pid)
        driver.get(link)
        begun_s = time.monotonic()
        screen = next(each for each in service.children() if "screen" in each.cmdline())
        while (now_s := time.monotonic() - begun_s) < arguments.minutes * 60:
            series["seconds"].append(now_s)
            series["service"].append(memory_mb(service, children=False))
            series["screen"].append(memory_mb(screen, children=False))
            series["browser"].append(memory_mb(chrome, children=True))
            series["page"].append(driver.execute_script("return performance.memory.usedJSHeapSize") / 1e6)
            time.sleep(EVERY_S)
        shown = driver.execute_script("return document.querySelector('.picture').dataset.rate")
        driver.quit()
    result: dict[str, Any] = {
        "minutes": arguments.minutes,
        "frames_per_second": arguments.rate,
        "pictures_a_second_at_the_end": float(shown or "nan"),
        "n": len(series["seconds"]),
    }
    for name in ("service", "screen", "browser", "page"):
        values = series[name]
        result[name] = {
            "mb_at_half": values[len(values) // 2],
            "mb_at_end": values[-1],
            "mb_most": max(values),
            "mb_per_hour_in_second_half": slope_mb_per_hour(series["seconds"], values),
        }
    write(arguments.out / "screen_memory.json", result)


if __name__ == "__main__":
    main()
