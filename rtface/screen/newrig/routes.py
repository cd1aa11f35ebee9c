"""``/api/newrig``: rigs and recordings of the workspace, the steps of one rig, and what each step does."""

from __future__ import annotations

from functools import partial

from starlette.responses import FileResponse
from starlette.routing import BaseRoute

from rtface.decide.templates import template_names, template_words
from rtface.learn.labels.how_many import FRAMES_TO_LABEL, HOW_MANY
from rtface.screen.desk import Desk
from rtface.screen.newrig import commands
from rtface.screen.newrig.places import looked_at, recordings_of
from rtface.screen.newrig.steps import steps_of
from rtface.screen.rigfiles import rigs_of
from rtface.screen.said import Answer, Said, got, posted
from rtface.screen.teach.engines import engines_here

_DOES = {
    "set": commands.set_lines,
    "cameras": commands.find_cameras,
    "look": commands.look,
    "find": commands.find_face,
    "try": commands.try_engine,
    "record": commands.record,
    "suggest": commands.suggest,
    "verify": commands.verify,
    "template": commands.write_rules,
    "rules": commands.check_rules,
    "dry-run": commands.try_rules,
    "check": commands.check,
    "run": commands.run,
}


def routes(desk: Desk) -> list[BaseRoute]:
    """Return the routes below ``/api/newrig``."""
    commands.show_running(desk)

    def listed(said: Said) -> Answer:
        return {
            "folder": str(desk.folder),
            "rigs": rigs_of(desk),
            "recordings": recordings_of(desk),
            "engines": engines_here(),
            "count": FRAMES_TO_LABEL,
            "how_many": HOW_MANY,
            "templates": [{"name": name, "words": template_words(name)} for name in template_names()],
        }

    def picture(said: Said) -> Answer:
        return FileResponse(looked_at(desk, said.text("file")), media_type="image/png")

    return [
        got("/rigs", listed),
        got("/steps", lambda said: steps_of(desk, said.text("rig"))),
        got("/picture", picture),
        *(posted(f"/{name}", partial(does, desk)) for name, does in _DOES.items()),
    ]
