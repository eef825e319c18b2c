"""The program of a side: ``python -P .../lab/agent FD PARENT``; loads this package under its own name, and serves.

No name of this package is imported before that: whatever else is called int8bench here is the side's.
"""

import importlib
import importlib.util
import sys
from pathlib import Path

NAME = "_int8bench_agent"  # so that `int8bench` stays free for the side's own


def main() -> None:
    """Serve the coordinator that has started this process."""
    _load_package()
    importlib.import_module(f"{NAME}.launch").serve(int(sys.argv[1]), int(sys.argv[2]))


def _load_package() -> None:
    """Make this folder importable as `NAME`, whatever else is called int8bench here."""
    folder = Path(__file__).parent
    spec = importlib.util.spec_from_file_location(
        NAME, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    main()
