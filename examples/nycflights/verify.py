"""Compare a finished report with the figures computed straight from the tables.

    python3 verify.py DIR            the folder given as dataDir, or a copy of its report/

Prints one line a figure and ends with status 1 if any differs.
"""

import csv
import itertools
import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import reference

Line = tuple[str, Any, Any]


def compare(report: pathlib.Path) -> Iterator[Line]:
    """Yield (figure, expected, found) for the headline figures and for every table of the report."""
    source = reference.tables()
    expected = reference.figures(source)
    found = json.loads((report / "figures.json").read_text())
    for name in expected["total"]:
        yield f"total {name}", expected["total"][name], found["total"].get(name)
    want, have = _tables(expected), _tables(found)
    for name in want | have:
        yield from _table(name, want.get(name, []), have.get(name, []))
    with (report / "carriers-by-month.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    yield from _table("carriers-by-month.csv", reference.carriers_by_month(source), rows)
    for name in ("chart.png", "index.html"):
        path = report / name
        yield name, "there", "there" if path.is_file() and path.stat().st_size > 1000 else "missing"


def _tables(figures: dict[str, Any]) -> dict[str, list[Any]]:
    flat = {name: rows for name, rows in figures.items() if name not in {"total", "weather"}}
    flat |= {f"weather {band}": rows for band, rows in figures["weather"].items()}
    return flat


def _table(name: str, want: list[Any], have: list[Any]) -> Iterator[Line]:
    """Yield a table as one line if it is right, else its first differing rows."""
    if want == have:
        yield name, f"{len(want)} rows", f"{len(have)} rows"
        return
    pairs = enumerate(itertools.zip_longest(want, have), start=1)
    for number, (left, right) in [(number, pair) for number, pair in pairs if pair[0] != pair[1]][:3]:
        yield f"{name}, row {number}", left, right


def main(folder: str) -> int:
    """Print the comparison and return the exit status."""
    report = pathlib.Path(folder)
    report = report / "report" if (report / "report").is_dir() else report
    try:
        lines = list(compare(report))
    except FileNotFoundError as error:
        print(f"no report: {error.filename} is missing", file=sys.stderr)
        return 2
    print(f"{'figure':24}{'expected':>12}{'found':>12}")
    for name, want, have in lines:
        print(f"{name:24}{want!s:>12}{have!s:>12}{'' if want == have else '   DIFFERENT'}")
    wrong = sum(want != have for _, want, have in lines)
    print(f"{wrong} of {len(lines)} differ" if wrong else f"all {len(lines)} agree")
    return 1 if wrong else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
