"""How many objects the audit log has for each task and item, against how many its script plans. Pure.

The name of an attempt's object follows from its run's name and UID, its node and its number, so the names in the log
say whose attempts they are; the status of the run is not asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from e2e.chaos.judge import Costs, no_cost
from e2e.chaos.script import End, Planned
from fairlead.engine.names import attempt_name

__all__ = ["Share", "Tally", "shares", "tally"]

#: So many more attempts than a node may have are known by their names. Further ones are nobody's.
_TOO_MANY = 20


@dataclass(frozen=True, slots=True)
class Share:
    """The objects of one node: of what kind, by which names they go, and how many there have to be."""

    run: str
    node: str
    carrier: str
    #: None if nothing is known of the run, whose UID is in them.
    names: tuple[str, ...]
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class Tally:
    """How many objects there are too few and too many, and whose."""

    lost: int
    repeated: int
    problems: tuple[str, ...] = ()


def shares(planned: Planned, uids: Mapping[str, str], existed: Collection[str], costs: Costs = no_cost) -> list[Share]:
    """Return what each node of a run has to have, those of the runs that it makes among them.

    `uids` has the UIDs of runs by their names, `existed` the names of the runs that there were.
    """
    found = list(_shares_of(planned.name, uids, planned.ends, costs))
    for share in list(found):
        ends = planned.children.get(share.node.partition("[")[0])
        if ends is None or share.carrier != "workflows":
            continue
        made = [name for name in share.names if name in existed]
        # Of one that is missing everything is.
        made += [f"a run of {share.node}"] * (share.least - len(made))
        for child in made:
            found += _shares_of(child, uids, ends, costs)
    return found


def tally(wanted: Iterable[Share], existed: Mapping[str, Collection[str]]) -> Tally:
    """Count. `existed` has the names of the attempts' objects, by kind."""
    lost = repeated = 0
    problems = []
    nobodys = {kind: set(names) for kind, names in existed.items()}
    for share in wanted:
        there = nobodys.get(share.carrier, set()).intersection(share.names)
        nobodys.get(share.carrier, set()).difference_update(there)
        if share.least <= len(there) <= share.most:
            continue
        lost += max(0, share.least - len(there))
        repeated += max(0, len(there) - share.most)
        problems.append(f"{share.run}: by the log {share.node} had {len(there)} {share.carrier}, not {_range(share)}")
    for kind, names in nobodys.items():
        repeated += len(names)
        problems += [f"{kind[:-1]} {name} is no attempt that was planned" for name in sorted(names)]
    return Tally(lost, repeated, tuple(problems))


def _shares_of(run: str, uids: Mapping[str, str], ends: Mapping[str, End], costs: Costs) -> Iterator[Share]:
    for node, end in ends.items():
        if not end.carrier:
            continue
        allowed = costs(run, node)
        least, most = end.attempts + allowed.start, end.attempts + allowed.stop - 1
        numbers = range(1, most + _TOO_MANY + 1) if run in uids else ()
        names = tuple(attempt_name(run, uids[run], node, number) for number in numbers)
        yield Share(run, node, end.carrier, names, least, most)


def _range(share: Share) -> str:
    return str(share.least) if share.least == share.most else f"{share.least} to {share.most}"
