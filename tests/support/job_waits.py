"""Waits for jobs: processes that import much, which on a busy machine takes longer than anything within a process."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from rtface.screen.jobs import Job, Jobs
from support.waits import wait_until

_TURNS = 12


def long_until(condition: Callable[[], object]) -> None:
    """Wait as `wait_until` does, many times as long."""
    for _ in range(_TURNS):
        with suppress(AssertionError):
            wait_until(lambda: bool(condition()))
            return
    raise AssertionError(f"{condition} never came true")


def over(jobs: Jobs, name: str) -> Job:
    """Return a job when it is over."""
    long_until(lambda: jobs.get(name).over)
    return jobs.get(name)


def all_ended(jobs: Jobs) -> None:
    """Stop all jobs, and wait until nothing is left of those that were begun here."""
    for job in jobs.list():
        jobs.stop(job.id)
    long_until(lambda: all(job.over for job in jobs.list()) and not jobs._ours)
