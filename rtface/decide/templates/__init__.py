"""Rules files to begin with, by name: each says in its first remark what it does."""

from __future__ import annotations

from importlib.resources import files

from rtface.core.errors import UsageError, nearest

_SUFFIX = ".yaml"


def template_names() -> tuple[str, ...]:
    """Return the names of the templates."""
    folder = files(__name__)
    return tuple(
        sorted(each.name.removesuffix(_SUFFIX) for each in folder.iterdir() if each.name.endswith(_SUFFIX))
    )


def template_text(name: str) -> str:
    """Return the rules file of a template; `UsageError` where there is none of that name."""
    if name not in template_names():
        raise UsageError(f"no rules template is called {name!r}{nearest(name, template_names())}")
    return files(__name__).joinpath(name + _SUFFIX).read_text("utf-8")


def template_words(name: str) -> str:
    """Return what a template does: its first remark, as one line."""
    lines = []
    for line in template_text(name).splitlines():
        if not line.startswith("# "):
            break
        lines.append(line.removeprefix("# "))
    return " ".join(lines)
