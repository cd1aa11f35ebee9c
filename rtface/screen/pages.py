"""The pages that have a server's part of their own."""

from __future__ import annotations

from collections.abc import Callable

from starlette.routing import BaseRoute

from rtface.screen.desk import Desk
from rtface.screen.jobs import routes as jobs
from rtface.screen.sessions import routes as sessions

PAGES: dict[str, Callable[[Desk], list[BaseRoute]]] = {"jobs": jobs.routes, "sessions": sessions.routes}
"""The routes of each page, under ``/api/PAGE``."""
