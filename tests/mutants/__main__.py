"""`python -m tests.mutants [--only S4] [--list]`: every mutant must be caught by each of the tests that it names.

The tests pass on a copy of the package as it is, and each mutant is tried on a copy of its own, two at a time. Exits
with 1 if one survives, if its tests fail otherwise than by an assertion, or if its piece of source has changed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

from .catalogue import MUTANTS, named_tests
from .mutant import Mutant, OutOfDate, operator_folder
from .trial import Result, Verdict, copy_of_the_package, play, try_mutant

_WORKERS = 2
_ALL_DEADLINE = 600.0


def main(arguments: Sequence[str]) -> int:
    """Try what is selected, and print what became of it. Returns the exit code."""
    chosen = _parse(arguments)
    mutants = tuple(each for each in MUTANTS if not chosen.only or {each.invariant, each.id} & set(chosen.only))
    if not mutants:
        print("there is no such mutant; --list shows all", file=sys.stderr)
        return 1
    if chosen.list:
        for each in mutants:
            print(f"{each.id:40} {each.broken}")
        return 0
    outdated = _out_of_date(mutants)
    print("\n".join(outdated), file=sys.stderr, end="\n" if outdated else "")
    return 1 if outdated else _try(mutants)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--only", action="append", metavar="S4", help="an invariant, or one mutant of it: S4/its-name")
    parser.add_argument("--list", action="store_true", help="name the mutants and try none")
    return parser.parse_args(arguments)


def _out_of_date(mutants: Sequence[Mutant]) -> list[str]:
    found = []
    for each in mutants:
        try:
            each.applied_to(each.path(operator_folder()).read_text(encoding="utf-8"))
        except OutOfDate as error:
            found.append(str(error))
    return found


def _try(mutants: tuple[Mutant, ...]) -> int:
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(_WORKERS) as pool:
        original = copy_of_the_package(Path(folder))
        sound = pool.submit(play, named_tests(mutants), original, _ALL_DEADLINE)
        trials = [pool.submit(try_mutant, each, original) for each in mutants]
        for trial in as_completed(trials):
            result = trial.result()
            results.append(result)
            print(f"[{len(results)}/{len(mutants)}] {result.mutant.id}: {result.verdict}", flush=True)
        wrong = _complaints(sound)
    results.sort(key=lambda each: mutants.index(each.mutant))
    print(_table(results))
    wrong += [f"{each.mutant.id} {each.verdict}: {each.why}" for each in results if each.verdict is not Verdict.CAUGHT]
    print("\n".join(wrong) or f"all {len(mutants)} are caught, and the code as it is passes the same tests")
    return 1 if wrong else 0


def _complaints(sound: Future[dict[str, str] | None]) -> list[str]:
    ends = sound.result()
    if ends is None:
        return ["the tests do not come to an end on the code as it is"]
    return [f"on the code as it is, {name or 'pytest'} fails: {kind}" for name, kind in ends.items() if kind]


def _table(results: Sequence[Result]) -> str:
    rows = [("", "mutant", "caught by", "seconds")]
    for each in results:
        first, *others = each.mutant.caught_by if each.verdict is Verdict.CAUGHT else (f"nobody: {each.verdict}",)
        rows.append((each.mutant.invariant, each.mutant.name, first, f"{each.seconds:.1f}"))
        rows += [("", "", other, "") for other in others]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
