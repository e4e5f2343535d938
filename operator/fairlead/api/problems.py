"""What is wrong with a definition, said with the path of the field and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["InvalidSpec", "Problem", "Severity", "did_you_mean", "listed"]


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


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Return `"; did you mean 'x'?"` for the nearest known name, `""` when none is near."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def listed(names: Iterable[str], last: str = "and") -> str:
    """Write names of fields one after the other: "`a`, `b` and `c`"."""
    *others, final = (f"`{name}`" for name in names)
    return f"{', '.join(others)} {last} {final}" if others else final
