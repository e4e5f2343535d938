"""`docs/mutants.md`: the list for people."""

from __future__ import annotations

from collections.abc import Iterator

from .catalogue import MUTANTS
from .invariants import INVARIANTS, NOT_BUILT

__all__ = ["document"]

_HEAD = """\
# Mutants

<!-- Generated from tests/mutants by `make gen`. Do not edit. -->

A test that cannot fail proves nothing. So for each invariant there are engines and controllers that are broken on
purpose, in one place, and the tests that must find them out. `make mutants` tries them all: it breaks a copy of the
package, runs the named tests, and complains unless each of them fails by an assertion of its own. The code as it is
passes them all. `ONLY=S4 make mutants` tries those of one invariant.
"""


def document() -> str:
    """Return the text of the file."""
    return "\n".join((_HEAD, *_sections(), ""))


def _sections() -> Iterator[str]:
    for invariant, words in INVARIANTS.items():
        yield f"## {invariant}\n\n{words}\n"
        yield "| what is broken | where | caught by |\n|---|---|---|"
        for each in MUTANTS:
            if each.invariant == invariant:
                tests = "<br>".join(f"`{test.removeprefix('tests/')}`" for test in each.caught_by)
                yield f"| {each.broken} | `{each.file}` | {tests} |"
        yield ""
    yield "## Not built yet\n"
    for invariant, words in NOT_BUILT.items():
        yield f"- {invariant}: {words}"
