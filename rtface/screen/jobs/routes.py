"""``/api/jobs``: the jobs of the workspace, one of them with what it says, and its stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import BaseRoute

from rtface.screen.said import Answer, Said, got, posted

if TYPE_CHECKING:
    from rtface.screen.desk import Desk

_LISTED = 100


def routes(desk: Desk) -> list[BaseRoute]:
    """Return the routes below ``/api/jobs``."""

    def listed(said: Said) -> Answer:
        return {"jobs": [job.as_dict() for job in desk.jobs.list(_LISTED)]}

    def one(said: Said) -> Answer:
        name = said.text("name")
        lines, place = desk.jobs.progress(name, said.whole("since", 0))
        job = desk.jobs.get(name)
        return {
            "job": job.as_dict(),
            "progress": lines,
            "next": place,
            "said": desk.jobs.output(name),
            "result": desk.jobs.result(name) if job.over else None,
        }

    def stop(said: Said) -> Answer:
        return {"job": desk.jobs.stop(said.text("name")).as_dict()}

    return [got("/", listed), got("/{name}", one), posted("/{name}/stop", stop)]
