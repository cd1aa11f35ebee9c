"""``/api/sessions``: what the page of the sessions asks for. GET reads, and never tells light from sham without a secret."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from rtface.core.errors import UsageError
from rtface.core.files import plain
from rtface.offline.sessions.certificate import certify, is_blinded
from rtface.offline.sessions.certificate_text import budget_words, certificate_text
from rtface.offline.sessions.comparison import compare_sessions
from rtface.offline.sessions.outline import Outline
from rtface.screen.app import said_in
from rtface.screen.desk import Desk
from rtface.screen.sessions import work
from rtface.screen.sessions.catalogue import Catalogue
from rtface.screen.sessions.moment import encoded, moment
from rtface.screen.sessions.timeline import decisions, timeline
from rtface.screen.sessions.unsealed import Unsealed, opened_by

_MOST_LISTED = 500
_MOST_DECISIONS = 500
_MOST_MOMENTS = 1000
_MOMENTS = ("armings", "marks", "faults", "gaps")


def routes(desk: Desk) -> list[BaseRoute]:
    """Return the routes below ``/api/sessions``."""
    page = _Page(desk)
    posts: dict[str, Callable[[dict[str, Any]], Any]] = {
        "unblind": page.unblind,
        "verify": page.verify,
        "replay": page.replay,
        "export": page.export,
        "overlay": page.overlay,
    }
    return [
        Route("/", page.list),
        Route("/summary", page.summary),
        Route("/certificate", page.certificate),
        Route("/timeline", page.timeline),
        Route("/decisions", page.decisions),
        Route("/moment", page.moment),
        Route("/picture", page.picture),
        Route("/compare", page.compare),
        Route("/video", page.video),
        Route("/verified", page.verified),
        *(Route(f"/{name}", _posted(act), methods=["POST"]) for name, act in posts.items()),
    ]


def _posted(act: Callable[[dict[str, Any]], Any]) -> Callable[[Request], Any]:
    async def handle(request: Request) -> Response:
        said = await said_in(request)
        return _json(await run_in_threadpool(act, said))

    return handle


class _Page:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._catalogue = Catalogue(desk)
        self._unsealed = Unsealed()

    def list(self, request: Request) -> Response:
        asked = _Asked(request)
        offset, limit = asked.whole("offset", 0), min(asked.whole("limit", _MOST_LISTED), _MOST_LISTED)
        count, listed = self._catalogue.list(offset=offset, limit=limit, word=asked.text("word"))
        return _json({"count": count, "offset": offset, "sessions": [each.as_dict() for each in listed]})

    def summary(self, request: Request) -> Response:
        asked = _Asked(request)
        if asked.text("again"):
            self._catalogue.outline(asked.text("session"), again=True)
        found, unblind = self._found(asked)
        told = found.summary(unblind=unblind).as_dict()
        blinded = is_blinded(found.session, unblind=unblind)
        return _json(
            {
                "summary": told | {"latency": {}} | {name: told[name][:_MOST_MOMENTS] for name in _MOMENTS},
                "blinded": blinded,
                "sealed": found.session.seal is not None,
                "may_unblind": blinded and found.session.state != "open",
                "opened_by": opened_by(found),
                "video": bool(found.rows.frames),
                "rules": "" if found.session.configuration is None else found.session.configuration.rules,
                "rig": "" if found.session.configuration is None else found.session.configuration.rig,
            }
        )

    def certificate(self, request: Request) -> Response:
        asked = _Asked(request)
        found, unblind = self._found(asked)
        certified = certify(found, unblind=unblind)
        if asked.text("form") == "text":
            return PlainTextResponse(certificate_text(certified))
        return _json(certified.as_dict() | {"budget_words": budget_words(certified.budget)})

    def timeline(self, request: Request) -> Response:
        asked = _Asked(request)
        found, unblind = self._found(asked)
        begin, end = asked.number("from", math.nan), asked.number("to", math.nan)
        names = [each for each in asked.text("names").split(",") if each] or None
        points = asked.whole("points", 1000)
        return _json(timeline(found, begin, end, points, names, unblind=unblind))

    def decisions(self, request: Request) -> Response:
        asked = _Asked(request)
        found, unblind = self._found(asked)
        return _json(
            decisions(
                found,
                unblind=unblind,
                begin_s=asked.number("from", -math.inf),
                end_s=asked.number("to", math.inf),
                rule=asked.text("rule"),
                action=asked.text("action"),
                offset=asked.whole("offset", 0),
                limit=min(asked.whole("limit", 100), _MOST_DECISIONS),
            )
        )

    def moment(self, request: Request) -> Response:
        asked = _Asked(request)
        found, unblind = self._found(asked)
        frame = asked.whole("frame", 0) if asked.text("frame") else None
        t_s = asked.number("t", math.nan)
        return _json(moment(found, unblind=unblind, t_s=t_s, frame=frame, step=asked.whole("step", 0)))

    def picture(self, request: Request) -> Response:
        asked = _Asked(request)
        name = asked.text("session")
        found = self._catalogue.outline(name)
        picture = self._catalogue.pictures(name, found).of(asked.whole("frame", 0))
        if picture is None:
            raise UsageError("no picture of that frame was recorded")
        form = asked.text("form") or "jpeg"
        return Response(encoded(picture.image, form), media_type=f"image/{form}")

    def compare(self, request: Request) -> Response:
        asked = _Asked(request)
        first, second = (self._found(asked, name, f"opened_{name}") for name in ("first", "second"))
        compared = compare_sessions(first[0], second[0], unblind=(first[1], second[1]))
        return _json(compared.as_dict())

    def video(self, request: Request) -> Response:
        path = work.overlay_file(self._desk, _Asked(request).text("file"))
        return FileResponse(path, media_type="video/mp4")

    def verified(self, request: Request) -> Response:
        """Answer what a job of verifying found, session by session."""
        return _json({"sessions": self._desk.jobs.results(_Asked(request).text("job"))})

    def unblind(self, said: dict[str, Any]) -> dict[str, Any]:
        name = _text(said, "session")
        found = self._catalogue.outline(name)
        first = said.get("first") is True
        token = self._unsealed.open(name, found, _text(said, "who"), _text(said, "why"), first=first)
        return {"opened": token, "opened_by": opened_by(found)}

    def verify(self, said: dict[str, Any]) -> dict[str, Any]:
        names = said.get("sessions")
        if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
            raise UsageError("sessions: a list of sessions")
        return work.verify_job(self._desk, [self._name(each) for each in names]).as_dict()

    def replay(self, said: dict[str, Any]) -> dict[str, Any]:
        name = self._name(_text(said, "session"))
        return work.replay_job(self._desk, name, network=said.get("network") is True).as_dict()

    def export(self, said: dict[str, Any]) -> dict[str, Any]:
        name, unblind = self._told(said)
        form = _text(said, "format") or "rtface"
        return work.export_job(self._desk, name, form, unblind=unblind).as_dict()

    def overlay(self, said: dict[str, Any]) -> dict[str, Any]:
        name, unblind = self._told(said)
        begin, end, speed = (_number(said, each) for each in ("from", "to", "speed"))
        return work.overlay_job(self._desk, name, begin, end, speed, unblind=unblind).as_dict()

    def _told(self, said: dict[str, Any]) -> tuple[str, bool]:
        """Return the session that is named, and whether the page that asks has opened it."""
        name = self._name(_text(said, "session"))
        _, unblind = self._unsealed.outline(
            name, _text(said, "opened"), lambda key: self._catalogue.outline(name)
        )
        return name, unblind

    def _name(self, name: str) -> str:
        """Return the path of a session in the workspace, in one form."""
        return self._desk.name(self._catalogue.log(name).parent)

    def _found(self, asked: _Asked, session: str = "session", opened: str = "opened") -> tuple[Outline, bool]:
        name = asked.text(session)
        return self._unsealed.outline(
            name, asked.text(opened), lambda key: self._catalogue.outline(name, key)
        )


class _Asked:
    """The parameters of a request, checked."""

    def __init__(self, request: Request) -> None:
        self._said = request.query_params

    def text(self, name: str) -> str:
        text = self._said.get(name, "")
        if len(text) > 2000 or "\0" in text:
            raise UsageError(f"{name} is too long, or no text")
        return text

    def whole(self, name: str, otherwise: int) -> int:
        text = self.text(name)
        if not text:
            return otherwise
        if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 19:
            raise UsageError(f"{name} is a whole number, not {text!r}")
        return int(text) if name in ("step", "frame") else max(0, int(text))

    def number(self, name: str, otherwise: float) -> float:
        text = self.text(name)
        try:
            number = float(text) if text else otherwise
        except ValueError:
            raise UsageError(f"{name} is a number, not {text!r}") from None
        if text and (not math.isfinite(number) or abs(number) > 1e9):
            raise UsageError(f"{name} is a number of seconds, not {text!r}")
        return number


def _text(said: dict[str, Any], name: str) -> str:
    text = said.get(name, "")
    if not isinstance(text, str) or len(text) > 2000:
        raise UsageError(f"{name}: a text")
    return text


def _number(said: dict[str, Any], name: str) -> float:
    number = said.get(name)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise UsageError(f"{name}: a number")
    return float(number)


def _json(value: Any) -> JSONResponse:
    return JSONResponse(plain(value))
