"""Jobs are processes: begun, left, found again, stopped, lost. All with real ones."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from support.job_waits import all_ended, long_until
from support.job_waits import over as job_over

from rtface.core.errors import UsageError
from rtface.screen.jobs import Job, Jobs, JobState

pytestmark = pytest.mark.timeout(900)

SCRIPT = """
import json, os, pathlib, signal, subprocess, sys, time
_, progress, what, *rest = sys.argv[1:]
def line(**fields):
    with open(progress, "a") as file:
        file.write(json.dumps(fields) + "\\n")
if what == "ends":
    line(done=1, total=2); line(done=2, total=2)
    print(json.dumps({"where": os.getcwd(), "rest": rest}))
elif what == "fails":
    print("reading", file=sys.stderr); print("error: no face found", file=sys.stderr)
    if rest: print('{"schema": "rtface.cli/error/1", "text": "no face found"}', file=sys.stderr)
    sys.exit(8)
elif what == "says":
    print(*rest, sep="\\n")
elif what == "until":  # somebody makes the file
    line(done=1)
    while not pathlib.Path(rest[0]).exists(): time.sleep(0.01)
elif what == "obeys":
    def end(*_): line(done="asked"); sys.exit(130)
    signal.signal(signal.SIGINT, end)
    line(done=1)
    while True: time.sleep(0.01)
elif what == "deaf":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(2, signal.SIG_IGN); time.sleep(1000)"])
    line(done=1, child=child.pid)
    while True: time.sleep(0.01)
"""


@pytest.fixture
def program(tmp_path: Path) -> tuple[str, ...]:
    script = tmp_path / "program.py"
    script.write_text(SCRIPT, encoding="utf-8")
    return sys.executable, str(script)


@pytest.fixture
def desk(tmp_path: Path, program: tuple[str, ...]) -> Iterator[Callable[..., Jobs]]:
    """Make a workspace's jobs; each call stands for a server of its own."""
    made: list[Jobs] = []
    workspace = tmp_path / "work"
    workspace.mkdir()

    def make(**options: object) -> Jobs:
        made.append(Jobs(workspace, program=program, **{"stop_after_s": 0.5, **options}))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for jobs in made:
        all_ended(jobs)


def begun(jobs: Jobs, *argv: object, kind: str = "teach", **options: object) -> Job:
    return jobs.start(kind, list(map(str, argv)), title="A title", about={"set": "a"}, **options)  # type: ignore[arg-type]


def over(jobs: Jobs, job: Job) -> Job:
    return job_over(jobs, job.id)


def runs(jobs: Jobs, job: Job) -> None:
    """Return when the command itself has said that it runs."""
    long_until(lambda: jobs.get(job.id).progress is not None)


def test_a_job_runs_in_the_workspace_and_its_result_progress_and_end_are_read(
    desk: Callable[..., Jobs],
) -> None:
    jobs = desk()
    job = begun(jobs, "ends", "one", "two words")
    assert (job.title, job.about, job.argv) == ("A title", {"set": "a"}, ("ends", "one", "two words"))
    ended = over(jobs, job)
    assert (ended.state, ended.code, ended.reason) == (JobState.DONE, 0, "")
    assert jobs.result(job.id) == {"where": str(jobs.workspace), "rest": ["one", "two words"]}
    assert ended.progress == {"done": 2, "total": 2}
    assert ended.begun_at is not None
    assert ended.ended_at is not None


def test_progress_is_read_from_a_place_on_and_whole_lines_alone(desk: Callable[..., Jobs]) -> None:
    jobs = desk()
    job = over(jobs, begun(jobs, "ends"))
    lines, place = jobs.progress(job.id)
    assert [line["done"] for line in lines] == [1, 2]
    file = jobs.workspace / ".rtface" / "jobs" / job.id / "progress.jsonl"
    with file.open("a", encoding="utf-8") as more:
        more.write('{"done": 3}\n{"do')
    assert jobs.progress(job.id, place) == ([{"done": 3}], file.stat().st_size - 4)
    assert jobs.get(job.id).progress == {"done": 3}
    first, on = jobs.progress(job.id, 0, most=30)
    assert [line["done"] for line in first] == [1]
    assert [line["done"] for line in jobs.progress(job.id, on)[0]] == [2, 3]


def test_a_failed_job_says_why(desk: Callable[..., Jobs]) -> None:
    jobs = desk()
    job = over(jobs, begun(jobs, "fails"))
    assert (job.state, job.code, job.reason) == (JobState.FAILED, 8, "error: no face found")
    assert jobs.output(job.id) == "reading\nerror: no face found\n"
    assert jobs.output(job.id, most=6) == "found\n"
    told = over(jobs, begun(jobs, "fails", "--json"))
    assert (told.reason, jobs.output(told.id)) == (job.reason, jobs.output(job.id))


def test_of_a_document_a_page_gets_the_record_the_list_or_the_map_without_the_schemas_name(
    desk: Callable[..., Jobs],
) -> None:
    jobs = desk()
    schema = "rtface.cli/x/1"
    told = [
        {"schema": schema, "n": 1},
        {"schema": schema, "items": [1, 2]},
        {"schema": schema, "items": {"a": 1}},
        {"old": 1},
    ]
    job = over(jobs, begun(jobs, "says", *map(json.dumps, told)))
    assert jobs.results(job.id) == [{"n": 1}, [1, 2], {"a": 1}, {"old": 1}]
    assert jobs.result(job.id) == {"old": 1}


def test_a_job_is_found_again_by_another_server_and_ends_there(
    desk: Callable[..., Jobs], tmp_path: Path
) -> None:
    first, second = desk(), desk()
    job = begun(first, "until", tmp_path / "go")
    runs(second, job)
    assert second.get(job.id).state is JobState.RUNNING
    (tmp_path / "go").touch()
    assert over(second, job).state is JobState.DONE


def test_a_job_outlives_the_process_that_began_it(
    desk: Callable[..., Jobs], tmp_path: Path, program: tuple[str, ...]
) -> None:
    """The server is killed with its whole group; the job goes on, and the next server finds it."""
    jobs = desk()
    code = (
        f"import sys; from pathlib import Path; from rtface.screen.jobs import Jobs\n"
        f"jobs = Jobs(Path({str(jobs.workspace)!r}), program={program!r})\n"
        f"print(jobs.start('teach', ['until', {str(tmp_path / 'go')!r}], title='t', about={{}}).id, flush=True)\n"
        f"sys.stdin.read()"
    )
    server = psutil.Popen(
        [sys.executable, "-c", code], stdin=-1, stdout=-1, start_new_session=True, env=os.environ
    )
    name = server.stdout.readline().decode().strip()
    long_until(lambda: jobs.get(name).progress is not None)
    os.killpg(server.pid, signal.SIGKILL)
    server.communicate()
    assert jobs.get(name).state is JobState.RUNNING
    (tmp_path / "go").touch()
    long_until(lambda: jobs.get(name).over)
    assert jobs.get(name).state is JobState.DONE


def test_stop_interrupts(desk: Callable[..., Jobs]) -> None:
    jobs = desk(stop_after_s=1000.0)
    job = begun(jobs, "obeys")
    runs(jobs, job)
    assert jobs.stop(job.id).stopping
    ended = over(jobs, job)
    assert (ended.state, ended.code, ended.stopping) == (JobState.STOPPED, 130, False)
    assert ended.progress == {"done": "asked"}
    assert jobs.stop(job.id) == ended


def test_stop_interrupts_a_command_with_no_handler_of_its_own(
    desk: Callable[..., Jobs], tmp_path: Path
) -> None:
    """Even where the server was begun by a shell that has SIGINT ignored for what it runs in the background."""
    jobs = desk(stop_after_s=1000.0)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        job = begun(jobs, "until", tmp_path / "never")
    finally:
        signal.signal(signal.SIGINT, before)
    runs(jobs, job)
    jobs.stop(job.id)
    assert over(jobs, job).code == -signal.SIGINT


def test_stop_kills_a_deaf_command_and_all_its_children(desk: Callable[..., Jobs]) -> None:
    jobs = desk()
    job = begun(jobs, "deaf")
    runs(jobs, job)
    progress = jobs.get(job.id).progress
    assert progress is not None
    jobs.stop(job.id)
    assert over(jobs, job).code == -signal.SIGKILL
    long_until(lambda: gone(int(progress["child"])))


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def processes(jobs: Jobs, job: Job) -> tuple[int, int]:
    """Return the numbers of a job's command and of its runner."""
    begun = json.loads((jobs.workspace / ".rtface" / "jobs" / job.id / "begun.json").read_text())
    return begun["pid"], begun["runner"]


def killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    long_until(lambda: gone(pid))


def test_one_after_another_in_order_and_what_does_not_wait_passes(
    desk: Callable[..., Jobs], tmp_path: Path
) -> None:
    jobs = desk()
    first, second, third = (begun(jobs, "until", tmp_path / name) for name in "abc")
    runs(jobs, first)
    assert over(jobs, begun(jobs, "ends", kind="check", waits=False)).state is JobState.DONE
    assert [jobs.get(each.id).state for each in (second, third)] == [JobState.WAITING] * 2
    for name in "bc":
        (tmp_path / name).touch()
    jobs.stop(second.id)
    assert over(jobs, second).state is JobState.STOPPED
    assert jobs.get(second.id).begun_at is None
    assert jobs.get(third.id).state is JobState.WAITING
    (tmp_path / "a").touch()
    assert over(jobs, third).state is JobState.DONE
    assert jobs.get(first.id).ended_at is not None
    assert [job.id for job in jobs.list()][-3:] == [third.id, second.id, first.id]


def test_two_at_once_where_that_is_allowed(desk: Callable[..., Jobs], tmp_path: Path) -> None:
    jobs = desk(at_once=2)
    first, second, third = (begun(jobs, "until", tmp_path / name) for name in "abc")
    runs(jobs, first)
    runs(jobs, second)
    assert jobs.get(third.id).state is JobState.WAITING
    (tmp_path / "b").touch()
    runs(jobs, third)
    for name in "ac":
        (tmp_path / name).touch()


def test_a_job_whose_processes_died_with_the_machine_is_lost_and_the_next_has_its_turn(
    desk: Callable[..., Jobs], tmp_path: Path
) -> None:
    jobs = desk()
    first = begun(jobs, "until", tmp_path / "never")
    runs(jobs, first)
    second = begun(jobs, "ends")
    command, runner = processes(jobs, first)
    killed(runner)
    assert jobs.get(first.id).state is JobState.RUNNING  # the command still does
    os.kill(command, signal.SIGKILL)
    long_until(lambda: jobs.get(first.id).state is JobState.LOST)
    assert "killed" in jobs.get(first.id).reason
    assert over(jobs, second).state is JobState.DONE


def test_a_command_whose_runner_was_killed_can_be_stopped(desk: Callable[..., Jobs]) -> None:
    jobs = desk()
    job = begun(jobs, "deaf")
    runs(jobs, job)
    killed(processes(jobs, job)[1])
    jobs.stop(job.id)
    assert over(jobs, job).state is JobState.STOPPED


def test_too_many_are_refused_and_old_ones_forgotten(desk: Callable[..., Jobs], tmp_path: Path) -> None:
    jobs = desk(most=2, kept=2)
    first, second = (begun(jobs, "until", tmp_path / name) for name in "aa")
    with pytest.raises(UsageError, match="2 jobs run or wait"):
        begun(jobs, "ends")
    (tmp_path / "a").touch()
    over(jobs, first), over(jobs, second)
    third = over(jobs, begun(jobs, "ends"))
    fourth = over(jobs, begun(jobs, "ends"))
    assert [job.id for job in jobs.list()] == [fourth.id, third.id]
    assert third.id > second.id


@pytest.mark.parametrize("name", ["../../etc", "000001-teach", "", "000001-teach/..", "x"])
def test_a_job_that_is_not_there_is_refused(desk: Callable[..., Jobs], name: str) -> None:
    with pytest.raises(UsageError, match="no job"):
        desk().get(name)


def test_a_kind_is_a_word(desk: Callable[..., Jobs]) -> None:
    with pytest.raises(UsageError, match="kind"):
        begun(desk(), "ends", kind="../x")


def test_damaged_files_of_one_hide_no_other(desk: Callable[..., Jobs]) -> None:
    jobs = desk()
    good, bad = (over(jobs, begun(jobs, "ends")) for _ in range(2))
    (jobs.workspace / ".rtface" / "jobs" / bad.id / "what.json").write_text("{", encoding="utf-8")
    assert [job.id for job in jobs.list()] == [good.id]
    assert over(jobs, begun(jobs, "ends")).id > bad.id


def test_the_command_is_rtface_itself_with_its_progress(tmp_path: Path) -> None:
    jobs = Jobs(tmp_path)
    job = jobs.start("check", ["config", "schema"], title="Schema", about={}, waits=False)
    long_until(lambda: jobs.get(job.id).over)
    assert jobs.get(job.id).state is JobState.DONE, jobs.output(job.id)
    assert jobs.result(job.id) is None or "properties" in str(jobs.result(job.id))
