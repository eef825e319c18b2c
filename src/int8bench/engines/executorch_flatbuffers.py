"""Reads what ExecuTorch writes as flatbuffers, with the compiler and the schemas that its package brings along.

ExecuTorch's own readers import its whole exporter, 5 s and more in every process.
"""

import json
import re
import subprocess
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from int8bench.errors import EngineError

PROFILE = "devtools/etdump/etdump_schema_flatcc.fbs"
XNNPACK_GRAPH = "backends/xnnpack/serialization/schema.fbs"
_COMPILER = "data/bin/flatc"
_PATIENCE_S = 60.0  # the largest file, a profile of a few dozen forwards, takes a fraction of a second
_INFINITE = re.compile(r"(?<=: )[-+]?(?:inf|nan)\b")  # limits of a clamp that is none; JSON has no word for them


def decoded(schema: str, write: Callable[[Path], object], *, size_prefixed: bool = False) -> Any:  # noqa: ANN401  JSON
    """The content of a flatbuffer as a JSON value, defaults filled in, infinite numbers as None.

    Args:
        schema: `PROFILE` or `XNNPACK_GRAPH`.
        write: writes the flatbuffer to the path that it is given.
        size_prefixed: whether the content starts with its own size.

    Raises:
        EngineError: the package lacks a part, or the content does not fit the schema.
    """
    package = _package()
    with tempfile.TemporaryDirectory(prefix="int8bench-executorch-") as folder:
        content = Path(folder) / "content.bin"
        write(content)
        prefix = ("--size-prefixed",) if size_prefixed else ()
        options = ("--json", "--strict-json", "--defaults-json", "--raw-binary", *prefix, "-o", folder)
        _run(str(package / _COMPILER), *options, str(package / schema), "--", str(content))
        text = content.with_suffix(".json").read_text(encoding="utf-8")
    return json.loads(_INFINITE.sub("null", text))


def _package() -> Path:
    """Where the package lies; it is a namespace, and finding it imports nothing."""
    spec = find_spec("executorch")
    if spec is None or not spec.submodule_search_locations:
        raise EngineError("executorch: the package is not installed; type pip install 'int8bench[executorch]'")
    return Path(next(iter(spec.submodule_search_locations)))


def _run(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EngineError(f"executorch: its flatbuffer compiler cannot be run: {error}") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise EngineError(f"executorch: its flatbuffer compiler failed: {said[0] if said else done.returncode}")
