"""``/api/teach``: guided ways, engines, and the jobs that make, export and verify them."""

from __future__ import annotations

from functools import partial

from starlette.routing import BaseRoute

from rtface.learn.labels.how_many import FRAMES_TO_LABEL, HOW_MANY
from rtface.screen.desk import Desk
from rtface.screen.rigfiles import change_rig, rigs_of
from rtface.screen.said import Answer, Said, got, posted
from rtface.screen.teach.commands import begin, check_view, export_int8, finish, go_on, verify
from rtface.screen.teach.engines import engine_in_full, engines_here
from rtface.screen.teach.ways import attempt_in_full, curves_of, way_at, way_in_full, ways_of


def routes(desk: Desk) -> list[BaseRoute]:
    """Return the routes below ``/api/teach``."""

    def listed(said: Said) -> Answer:
        return {
            "ways": ways_of(desk),
            "engines": engines_here(),
            "rigs": rigs_of(desk),
            "count": FRAMES_TO_LABEL,
            "how_many": HOW_MANY,
        }

    def attempts(said: Said) -> Answer:
        found = way_at(desk, said.text("folder")).attempts()
        return {"attempts": [attempt_in_full(each) for each in found]}

    def curves(said: Said) -> Answer:
        return curves_of(desk, said.text("folder"), said.text("attempt"))

    def use(said: Said) -> Answer:
        engine = {"engine": said.text("engine")}
        return change_rig(desk, said.text("rig"), engine, seen=said.text("token", ""))

    return [
        got("/ways", listed),
        got("/way", lambda said: way_in_full(desk, said.text("folder"))),
        got("/attempts", attempts),
        got("/curves", curves),
        got("/engine", lambda said: engine_in_full(said.text("name"))),
        posted("/begin", partial(begin, desk)),
        posted("/go", partial(go_on, desk)),
        posted("/finish", partial(finish, desk)),
        posted("/export", partial(export_int8, desk)),
        posted("/verify", partial(verify, desk)),
        posted("/view", partial(check_view, desk)),
        posted("/use", use),
    ]
