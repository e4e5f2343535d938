"""What is wrong with a definition, said with the path of the field and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["COMPARED", "InvalidSpec", "Problem", "Severity", "did_you_mean", "listed", "nearest"]

#: With how many names one is compared in every way: each takes 20 µs, and a definition may have thousands of both.
COMPARED = 64
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-_"


class Severity(StrEnum):
    """`Error` keeps a workflow from running, `Warning` is advice."""

    ERROR = "Error"
    WARNING = "Warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    `path` is the field as a user would find it, such as `spec.tasks[1].needs[0]`; `message` says what is
    wrong and what to write instead. `subject` (`Workflow/hello`) and `line` (from 1) are known to lint only.
    """

    path: str
    message: str
    severity: Severity = Severity.ERROR
    subject: str = ""
    line: int | None = None

    def __str__(self) -> str:
        """`path: message`, as conditions show it."""
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidSpec(Exception):
    """A definition that cannot run; named as the reason of the condition that users see.

    Carries every problem found, at least one.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return `"; did you mean 'x'?"` for the nearest known name, `""` when none is near."""
    near = nearest(name, known, 1)
    return f"; did you mean '{near[0]}'?" if near else ""


def nearest(name: str, known: Collection[str], count: int) -> list[str]:
    """Return at most so many known names that may have been meant. Of many, only those that are one slip away."""
    if len(known) <= COMPARED:
        return difflib.get_close_matches(name, known, n=count, cutoff=0.6)
    names = known if isinstance(known, Mapping | AbstractSet) else set(known)
    return sorted({slip for slip in _slips(name) if slip in names})[:count]


def _slips(name: str) -> Iterator[str]:
    """Yield what somebody meant who left a letter out, typed one too many or a wrong one, or two in the wrong order."""
    for at in range(len(name) + 1):
        before, after = name[:at], name[at:]
        yield before + after[1:]
        yield before + after[1:2] + after[:1] + after[2:]
        for letter in _LETTERS:
            yield before + letter + after
            yield before + letter + after[1:]


def listed(names: Iterable[str], last: str = "and") -> str:
    """Write names of fields one after the other: "`a`, `b` and `c`"."""
    *others, final = (f"`{name}`" for name in names)
    return f"{', '.join(others)} {last} {final}" if others else final
