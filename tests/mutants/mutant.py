"""What a mutant is: one place of the product, what stands there instead, and who must notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Mutant", "OutOfDate", "operator_folder"]

_ROOT = Path(__file__).resolve().parents[2]


class OutOfDate(Exception):
    """The source does not have the piece that is to be replaced, or has it more than once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One way to break an invariant.

    `broken` says in a sentence what is wrong then, `file` is below `operator/fairlead`. `old` stands there exactly
    once, and `new` in its place. Each test of `caught_by` must fail by an assertion of its own. `hangs` is set where it
    may rather be caught by a test that never ends.
    """

    invariant: str
    name: str
    broken: str
    file: str
    old: str
    new: str
    caught_by: tuple[str, ...]
    hangs: bool = False

    @property
    def id(self) -> str:
        """By which it is selected: `S4/released-at-once`."""
        return f"{self.invariant}/{self.name}"

    def path(self, folder: Path) -> Path:
        """Return its file in a copy of `operator/`."""
        return folder / "fairlead" / self.file

    def applied_to(self, source: str) -> str:
        """Return the source with its piece replaced. Raises `OutOfDate`."""
        found = source.count(self.old)
        if found != 1:
            raise OutOfDate(f"{self.id} is out of date: {self.file} has the piece that it replaces {found} times")
        return source.replace(self.old, self.new)


def operator_folder() -> Path:
    """Return the folder of the package's source in the working tree."""
    return _ROOT / "operator"
