"""What a fault came to, and the table of all of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Row", "table", "verdict"]

_COLUMNS = (
    f"{'fault':<22}{'times':>6}{'runs':>6}{'attempts':>10}{'no record':>11}{'lost':>6}{'repeated':>10}"
    f"{'restarts':>10}{'seconds':>9}"
)


@dataclass(slots=True)
class Row:
    """One fault: how often it struck, what it struck, and what is wrong afterwards."""

    fault: str
    times: int = 0
    runs: int = 0
    #: Attempts that had an object, by the audit log.
    attempts: int = 0
    #: Further ones whose record went with their namespace: they were looked at for repetition, and count as none lost.
    unrecorded: int = 0
    lost: int = 0
    repeated: int = 0
    #: How often the operator ended by itself and was started again, as the kubelet would.
    restarts: int = 0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def survived(self) -> bool:
        """Whether all is as it had to be."""
        return not self.problems and not self.lost and not self.repeated and self.times > 0

    def __str__(self) -> str:
        numbers = f"{self.times:>6}{self.runs:>6}{self.attempts:>10,}{self.unrecorded:>11,}"
        numbers += f"{self.lost:>6}{self.repeated:>10}"
        said = "" if self.survived else "  FAILED"
        return f"{self.fault:<22}{numbers}{self.restarts:>10}{self.seconds:>9.0f}{said}"


def table(rows: Sequence[Row]) -> str:
    """Return the table, its problems, and the totals."""
    problems = [f"{row.fault}: {problem}" for row in rows for problem in row.problems]
    totals = [
        f"faults survived: {sum(row.times for row in rows if row.survived)} of {sum(row.times for row in rows)}",
        f"attempts: {sum(row.attempts for row in rows):,}",
        f"attempts whose record was deleted, looked at for repetition only: {sum(row.unrecorded for row in rows):,}",
        f"lost: {sum(row.lost for row in rows)}",
        f"repeated: {sum(row.repeated for row in rows)}",
    ]
    return "\n".join([_COLUMNS, *map(str, rows), "", *problems, *([""] if problems else []), *totals])


def verdict(rows: Sequence[Row]) -> int:
    """Return the exit code."""
    return 0 if rows and all(row.survived for row in rows) else 1
