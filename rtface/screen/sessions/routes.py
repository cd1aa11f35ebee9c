"""``/api/sessions``: what the page of the sessions asks for. GET reads, and never tells light from sham without a secret."""

from __future__ import annotations

import math

from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute

from rtface.core.errors import UsageError
from rtface.offline.sessions.certificate import certify, is_blinded
from rtface.offline.sessions.certificate_text import budget_words, certificate_text
from rtface.offline.sessions.comparison import compare_sessions
from rtface.offline.sessions.outline import Outline
from rtface.screen.desk import Desk
from rtface.screen.said import Answer, Said, got, posted
from rtface.screen.sessions import work
from rtface.screen.sessions.catalogue import Catalogue
from rtface.screen.sessions.moment import encoded, moment
from rtface.screen.sessions.timeline import decisions, timeline
from rtface.screen.sessions.unsealed import Unsealed, opened_by

_MOST_LISTED = 500
_MOST_DECISIONS = 500
_MOST_MOMENTS = 1000
_FARTHEST = 1_000_000
"""Frames that a step leads over."""

_MOMENTS = ("armings", "marks", "faults", "gaps")


def routes(desk: Desk) -> list[BaseRoute]:
    """Return the routes below ``/api/sessions``."""
    page = _SessionRoutes(desk)
    return [
        got("/", page.list),
        got("/summary", page.summary),
        got("/certificate", page.certificate),
        got("/timeline", page.timeline),
        got("/decisions", page.decisions),
        got("/moment", page.moment),
        got("/picture", page.picture),
        got("/compare", page.compare),
        got("/video", page.video),
        got("/verified", page.verified),
        posted("/unblind", page.unblind),
        posted("/verify", page.verify),
        posted("/replay", page.replay),
        posted("/export", page.export),
        posted("/overlay", page.overlay),
    ]


class _SessionRoutes:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._catalogue = Catalogue(desk)
        self._unsealed = Unsealed()

    def list(self, said: Said) -> Answer:
        offset, limit = said.whole("offset", 0), min(said.whole("limit", _MOST_LISTED), _MOST_LISTED)
        count, listed = self._catalogue.list(offset=offset, limit=limit, word=said.text("word", ""))
        return {"count": count, "offset": offset, "sessions": [each.as_dict() for each in listed]}

    def summary(self, said: Said) -> Answer:
        if "again" in said:
            self._catalogue.outline(said.text("session"), again=True)
        found, unblind = self._found(said)
        told = found.summary(unblind=unblind).as_dict()
        blinded = is_blinded(found.session, unblind=unblind)
        return {
            "summary": told | {"latency": {}} | {name: told[name][:_MOST_MOMENTS] for name in _MOMENTS},
            "blinded": blinded,
            "sealed": found.session.seal is not None,
            "may_unblind": blinded and found.session.state != "open",
            "opened_by": opened_by(found),
            "video": bool(found.rows.frames),
            "rules": "" if found.session.configuration is None else found.session.configuration.rules,
            "rig": "" if found.session.configuration is None else found.session.configuration.rig,
        }

    def certificate(self, said: Said) -> Answer:
        found, unblind = self._found(said)
        certified = certify(found, unblind=unblind)
        if said.text("form", "") == "text":
            return PlainTextResponse(certificate_text(certified))
        return certified.as_dict() | {"budget_words": budget_words(certified.budget)}

    def timeline(self, said: Said) -> Answer:
        found, unblind = self._found(said)
        begin, end = said.number("from", math.nan), said.number("to", math.nan)
        names = [each for each in said.text("names", "").split(",") if each] or None
        points = said.whole("points", 1000)
        return timeline(found, begin, end, points, names, unblind=unblind)

    def decisions(self, said: Said) -> Answer:
        found, unblind = self._found(said)
        return decisions(
            found,
            unblind=unblind,
            begin_s=said.number("from", -math.inf),
            end_s=said.number("to", math.inf),
            rule=said.text("rule", ""),
            action=said.text("action", ""),
            offset=said.whole("offset", 0),
            limit=min(said.whole("limit", 100), _MOST_DECISIONS),
        )

    def moment(self, said: Said) -> Answer:
        found, unblind = self._found(said)
        frame = said.whole("frame") if "frame" in said else None
        t_s = said.number("t", math.nan)
        return moment(
            found, unblind=unblind, t_s=t_s, frame=frame, step=said.whole("step", 0, least=-_FARTHEST)
        )

    def picture(self, said: Said) -> Answer:
        name = said.text("session")
        found = self._catalogue.outline(name)
        picture = self._catalogue.pictures(name, found).of(said.whole("frame"))
        if picture is None:
            raise UsageError("no picture of that frame was recorded")
        form = said.text("form", "jpeg")
        return Response(encoded(picture.image, form), media_type=f"image/{form}")

    def compare(self, said: Said) -> Answer:
        first, second = (self._found(said, name, f"opened_{name}") for name in ("first", "second"))
        compared = compare_sessions(first[0], second[0], unblind=(first[1], second[1]))
        return compared.as_dict()

    def video(self, said: Said) -> Answer:
        path = work.overlay_file(self._desk, said.text("file"))
        return FileResponse(path, media_type="video/mp4")

    def verified(self, said: Said) -> Answer:
        """Answer what a job of verifying found, session by session."""
        return {"sessions": self._desk.jobs.results(said.text("job"))}

    def unblind(self, said: Said) -> Answer:
        name = said.text("session")
        found = self._catalogue.outline(name)
        first = said.flag("first")
        token = self._unsealed.open(name, found, said.text("who", ""), said.text("why", ""), first=first)
        return {"opened": token, "opened_by": opened_by(found)}

    def verify(self, said: Said) -> Answer:
        return work.verify_job(self._desk, [self._name(each) for each in said.texts("sessions")]).as_dict()

    def replay(self, said: Said) -> Answer:
        name = self._name(said.text("session"))
        return work.replay_job(self._desk, name, network=said.flag("network")).as_dict()

    def export(self, said: Said) -> Answer:
        name, unblind = self._told(said)
        form = said.text("format", "rtface")
        return work.export_job(self._desk, name, form, unblind=unblind).as_dict()

    def overlay(self, said: Said) -> Answer:
        name, unblind = self._told(said)
        begin, end, speed = (said.number(each) for each in ("from", "to", "speed"))
        return work.overlay_job(self._desk, name, begin, end, speed, unblind=unblind).as_dict()

    def _told(self, said: Said) -> tuple[str, bool]:
        """Return the session that is named, and whether the page that asks has opened it."""
        name = self._name(said.text("session"))
        _, unblind = self._unsealed.outline(
            name, said.text("opened", ""), lambda key: self._catalogue.outline(name)
        )
        return name, unblind

    def _name(self, name: str) -> str:
        """Return the path of a session in the workspace, in one form."""
        return self._desk.name(self._catalogue.log(name).parent)

    def _found(self, said: Said, session: str = "session", opened: str = "opened") -> tuple[Outline, bool]:
        name = said.text(session)
        return self._unsealed.outline(
            name, said.text(opened, ""), lambda key: self._catalogue.outline(name, key)
        )
