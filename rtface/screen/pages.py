"""The pages that have a server's part of their own."""

from __future__ import annotations

from collections.abc import Callable

from starlette.routing import BaseRoute

from rtface.screen.desk import Desk
from rtface.screen.jobs import routes as jobs
from rtface.screen.label import routes as label
from rtface.screen.newrig import routes as newrig
from rtface.screen.sessions import routes as sessions
from rtface.screen.teach import routes as teach

PAGES: dict[str, Callable[[Desk], list[BaseRoute]]] = {
    "jobs": jobs.routes,
    "label": label.routes,
    "newrig": newrig.routes,
    "sessions": sessions.routes,
    "teach": teach.routes,
}
"""The routes of each page, under ``/api/PAGE``."""
