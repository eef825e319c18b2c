"""Puts the tallies of trials into METHOD.md, between its two markers.

python scripts/method_trials.py trials.json slowed.json ...
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from int8bench import files
from int8bench.selftest import trials

METHOD = Path(__file__).parents[1] / "METHOD.md"
BEGIN, END = "<!-- trials:begin -->", "<!-- trials:end -->"
HEADER = (
    "| raced | batch | threads | races | 95 % intervals that exclude 1 | faster | slower | same | unclear "
    "| median half-width | median seconds of measuring |"
)


def main() -> None:
    """Reads the files named on the command line, and rewrites METHOD.md."""
    rows = [row for name in sys.argv[1:] for row in json.loads(Path(name).read_text(encoding="utf-8"))["rows"]]
    before, _, rest = METHOD.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "\n".join([HEADER, "|---" * HEADER.count("| ") + "|", *map(_line, trials.tallies(rows))])
    files.write_text(METHOD, f"{before}{BEGIN}\n{table}\n{END}{after}")


def _line(tally: Mapping[str, Any]) -> str:
    where = ("all", "all") if tally["batch"] is None else (tally["batch"], tally["threads"])
    cells = (
        "slowed by 2 %" if tally["slowed"] else "itself",
        *where,
        *(tally[key] for key in ("races", "intervals_excluding_1", "faster", "slower", "same", "unclear")),
        f"{tally['median_half_width']:.2%}",
        f"{tally['median_measured_s']:.0f}",
    )
    return "| " + " | ".join(map(str, cells)) + " |"


if __name__ == "__main__":
    main()
