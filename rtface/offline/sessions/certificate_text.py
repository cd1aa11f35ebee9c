"""A latency certificate as a page of plain text, for a terminal, a notebook or a printer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rtface.core.files import printable
from rtface.offline.sessions.certificate import BudgetHeld, Certificate
from rtface.offline.sessions.stagetimes import STAGES

WIDTH = 100
"""Characters of a line; longer ones are wrapped."""

_OF_LIGHT = {
    "handover": "decided to handed over",
    "answer": "handed over to answered",
    "light": "exposure to light on",
}


def certificate_text(certificate: Certificate) -> str:
    """Return the certificate as lines of at most `WIDTH` characters."""
    parts = (
        _head(certificate),
        _latency(certificate),
        _kept(certificate),
        _made_with(certificate),
        _hashes(certificate),
    )
    return printable("\n\n".join("\n".join(_wrapped(part)) for part in parts)) + "\n"


def budget_words(budget: BudgetHeld | None) -> str:
    """Return whether the budget was held, in words."""
    if budget is None:
        return "the rig has none"
    if budget.held is None:
        return f"{budget.text}: no frame with a time of publishing is recorded"
    said = "held" if budget.held else "NOT held at publishing"
    return f"{budget.text}: {said}; {budget.late} of {budget.n} frames at {budget.limit_ms:g} ms or later"


def _head(of: Certificate) -> list[str]:
    rate = "" if of.rate_hz is None else f", {of.rate_hz:.1f} a second"
    return [
        f"LATENCY CERTIFICATE  {of.folder}",
        *_rows(
            {
                "session": f"{of.session}, {of.state}",
                "began": f"{of.began or 'not known'}, lasted {of.seconds:.1f} s",
                "poses": f"{of.poses}{rate}; {of.published} with a time of publishing",
            }
        ),
    ]


def _latency(of: Certificate) -> list[str]:
    lines = [f"{'latency in ms':<34}{'n':>10}{'p50':>9}{'p95':>9}{'p99':>9}{'p99.9':>9}{'max':>10}"]
    lines += [
        _stage(f"{name}: {' to '.join(STAGES[name])}", stage.as_dict()) for name, stage in of.stages.items()
    ]
    lines += [_stage(f"{name}: {_OF_LIGHT.get(name, '')}", stage) for name, stage in (of.light or {}).items()]
    if of.light_why:
        lines.append(f"light: {of.light_why}")
    whole = of.stages["end_to_end"]
    return [
        *lines,
        "",
        *_rows(
            {
                "deadline": f"{of.misses} of {whole.n} frames published later than {of.deadline_ms:g} ms",
                "budget": budget_words(of.budget),
                "exposure": _exposure(of.exposure),
            }
        ),
    ]


def _stage(name: str, stage: Mapping[str, Any]) -> str:
    if not stage["n"]:
        return f"{name:<34}{'0':>10}{'not recorded':>20}"
    numbers = "".join(f"{stage[f'{each}_ms']:>9.2f}" for each in ("p50", "p95", "p99", "p999"))
    return f"{name:<34}{stage['n']:>10}{numbers}{stage['max_ms']:>10.2f}"


def _exposure(source: str) -> str:
    if source == "camera":
        return "times of exposure are the camera's"
    if source == "arrival":
        return "the camera has no clock: latencies begin at arrival, exposure and transfer are not in them"
    return "where the times of exposure come from is not recorded"


def _kept(of: Certificate) -> list[str]:
    rows = {
        "lost": _counts(of.losses) if of.losses else "not recorded",
        "gaps": f"{of.gaps} frame numbers without a pose",
        "not kept": f"{_counts({n: c for n, c in of.unrecorded.items() if c})}; {of.dropped_frames} frames of the video",
        "faults": "; ".join(of.faults[:5]) + (" ..." if len(of.faults) > 5 else "") or "none",
    }
    if of.missing:
        rows["missing"] = "; ".join(of.missing[:3]) + (" ..." if len(of.missing) > 3 else "")
    return _rows(rows)


def _made_with(of: Certificate) -> list[str]:
    machine, camera = of.machine, of.camera
    rows = {
        "machine": ", ".join(
            [
                str(machine.get("processor", "not known")),
                f"{machine.get('cores', '?')} cores",
                f"{machine.get('memory_gib', '?')} GiB",
                str(machine.get("system", "")),
            ]
        ),
        "versions": f"rtface {machine.get('rtface', '?')}, Python {machine.get('python', '?')}",
        "camera": f"{camera.get('kind')} {camera.get('label')}, {camera.get('width')}x{camera.get('height')}"
        if camera
        else "not known",
        "network": _network(of.network),
        "real time": f"heartbeat thread: {of.real_time}" if of.real_time else "not recorded",
    }
    for each in of.outputs:
        firmware = f", firmware {each['firmware']} build {each['build']}" if each["firmware"] else ""
        guarded = "limits in the device" if each["enforces_limits"] else "no limits in the device"
        rows[f"output {each['output']}"] = f"{each['kind']} {each['label']}{firmware}; {guarded}"
    return _rows(rows)


def _network(network: Mapping[str, Any]) -> str:
    if not network:
        return "not known"
    backend = network["backend"]
    runs = " ".join(
        str(backend[each]) for each in ("name", "version", "precision", "device") if backend.get(each)
    )
    return f"{network['engine']} on {runs}"


def _hashes(of: Certificate) -> list[str]:
    return [
        *(f"sha256 {name:<9} {digest}" for name, digest in of.sha256.items()),
        f"fingerprint      {of.fingerprint}",
    ]


def _counts(counts: Mapping[str, int | None]) -> str:
    return ", ".join(f"{name} {'unknown' if n is None else n}" for name, n in counts.items()) or "nothing"


def _rows(rows: Mapping[str, str]) -> list[str]:
    return [f"{name:<11} {' '.join(text.split())}" for name, text in rows.items()]


def _wrapped(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        rest = line
        while len(rest) > WIDTH:
            at = rest.rfind(" ", 13, WIDTH + 1)
            at = WIDTH if at < 0 else at
            yield rest[:at].rstrip()
            rest = " " * 12 + rest[at:].lstrip()
        yield rest
