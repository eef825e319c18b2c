"""Puts the table of a record into the README, between its two markers.

python scripts/readme_output.py reports/run.json
"""

import sys
from pathlib import Path

from int8bench import records
from int8bench.report import text

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- output:begin -->", "<!-- output:end -->"
WIDTH = 120


def main() -> None:
    """Reads the record named on the command line, and rewrites the README."""
    run = records.load(Path(sys.argv[1]))
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    table = text.render(run, width=WIDTH, colour=False)
    records.write_text(README, f"{before}{BEGIN}\n```\n{table}\n```\n{END}{after}")


if __name__ == "__main__":
    main()
