"""Commands of rtface that run as processes of their own: left, found again after the screen's server has ended, and stopped."""

from rtface.screen.jobs.job import Job, JobState
from rtface.screen.jobs.store import Jobs

__all__ = ["Job", "JobState", "Jobs"]
