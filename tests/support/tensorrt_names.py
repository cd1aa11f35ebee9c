"""The names that the Python bindings of TensorRT have: read from wheels, or from the module that is installed.

    pip download --no-deps tensorrt-cu12-bindings==11.4.0.106
    python tests/support/tensorrt_names.py *.whl    # writes tensorrt_names.json, with those of an installed tensorrt_rtx

The bindings' wheels have no libraries with them. They are imported with empty ones in their place, made by gcc, since for
its names a module calls nothing.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

RECORD = Path(__file__).parents[1] / "data" / "tensorrt_names.json"
CLASSES = (
    *("Builder", "BuilderFlag", "ComputeCapability", "DataType", "ExecutionContextAllocationStrategy"),
    *("IBuilderConfig", "ICudaEngine", "IExecutionContext", "ILogger", "INetworkDefinition", "IProgressMonitor"),
    *("IRuntimeCache", "IRuntimeConfig"),
    *("ITimingCache", "MemoryPoolType", "NetworkDefinitionCreationFlag", "OnnxParser", "ParserError", "Runtime"),
    "TensorIOMode",
)  # fmt: skip
Names = dict[str, list[str]]
"""By class, and by ``module`` for the module itself."""


def names_of(module: Any) -> Names:
    """Return the public names of a module and of `CLASSES` that it has."""
    found = {"module": [name for name in dir(module) if not name.startswith("_")]}
    for name in CLASSES:
        if hasattr(module, name):
            found[name] = [each for each in dir(getattr(module, name)) if not each.startswith("_")]
    return found


def names_in(wheel: Path) -> Names:
    """Return the names in a wheel of bindings, whose libraries need not be installed."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        (library,) = folder.glob("*_bindings/tensorrt*.so")
        needed = subprocess.run(["readelf", "-d", library], check=True, capture_output=True, text=True).stdout
        undefined = subprocess.run(
            ["nm", "-D", "--undefined-only", library], check=True, capture_output=True, text=True
        ).stdout
        calls = [line.split()[-1] for line in undefined.splitlines() if line.endswith(_ENDINGS)]
        (folder / "empty.c").write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in calls))
        for line in needed.splitlines():
            if "[libnv" in line:
                name = line.partition("[")[2].partition("]")[0]
                subprocess.run(
                    ["gcc", "-shared", f"-Wl,-soname,{name}", "-o", folder / name, folder / "empty.c"],
                    check=True,
                )
        told = subprocess.run(
            [sys.executable, __file__, "--module", library.stem],
            check=True,
            capture_output=True,
            text=True,
            env={"LD_LIBRARY_PATH": made, "PYTHONPATH": str(library.parent)},
        )
    names: Names = json.loads(told.stdout)
    return names


_ENDINGS = ("_INTERNAL", "PluginRegistry", "ParserVersion", "NvInferPlugins")


def main(arguments: list[str]) -> None:
    """Write the record."""
    if arguments[:1] == ["--module"]:
        sys.path.remove(str(Path(__file__).parent))
        sys.stdout.write(json.dumps(names_of(importlib.import_module(arguments[1]))))
        return
    record = {"tensorrt " + Path(name).name.split("-")[1]: names_in(Path(name)) for name in arguments}
    if find_spec("tensorrt_rtx") is not None:
        module = importlib.import_module("tensorrt_rtx")
        record[f"tensorrt_rtx {module.__version__}"] = names_of(module)
    packed = {release: {each: " ".join(names[each]) for each in names} for release, names in record.items()}
    RECORD.write_text(json.dumps(packed, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
