"""Puts what a record says into the README, between two markers.

python scripts/readme_output.py reports/run.json              # between those of `output`
python scripts/readme_output.py reports/engines.json engines
"""

import sys
from pathlib import Path

from int8bench import files
from int8bench.report import text
from int8bench.study import records

README = Path(__file__).parents[1] / "README.md"
OUTPUT = "output"  # what the markers are called where nothing else is said
WIDTH = 120


def main() -> None:
    """Reads the record named on the command line, and rewrites the README."""
    run = records.load(Path(sys.argv[1]))
    place = sys.argv[2] if len(sys.argv) > 2 else OUTPUT  # noqa: PLR2004  the second argument
    begin, end = f"<!-- {place}:begin -->", f"<!-- {place}:end -->"
    before, found, rest = README.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        sys.exit(f"README.md has no {begin} with a {end} after it")
    table = text.render(run, width=WIDTH, colour=False)
    files.write_text(README, f"{before}{begin}\n```\n{table}\n```\n{end}{after}")


if __name__ == "__main__":
    main()
