"""What is simulated under a seed: which scenario, and which faults strike in which of its states."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from tests.property.scenarios import Again, Epoch, Scenario, Task, scenario
from tests.property.script import Way
from tests.sim.states import State

from fairlead.engine.model import StopMode, WorkKind
from fairlead.testing.faults import Fault

__all__ = ["EDITION", "IMPOSSIBLE", "Plot", "cells", "faults", "plot", "seeds_of"]

#: Kinds of tasks that are played by pods here.
_BY_PODS = (WorkKind.POD, WorkKind.JOB, WorkKind.HTTP, WorkKind.RESOURCE)

_ON_PODS = frozenset(
    {
        Fault.EVICTED,
        Fault.PREEMPTED,
        Fault.DELETED,
        Fault.FORCE_DELETED,
        Fault.NODE_LOST,
        Fault.NODE_DOWN,
        Fault.LABEL_STRIPPED,
        Fault.FINALIZER_STRIPPED,
        Fault.FOREIGN_POD,
    }
)

#: Where no pods are created, it does not show that no node would take them; the first edition counted it all the same.
_UNPLACED = frozenset(
    (Fault.UNSCHEDULABLE, state) for state in (State.BEGINS, State.SUSPENDED, State.STOPS, State.OVER)
)

#: What cannot be: before a run begins and after it is over there are no pods to be harmed or to be created; of one that
#: is suspended none is created either.
IMPOSSIBLE = frozenset(
    {
        *((fault, state) for fault in _ON_PODS for state in (State.BEGINS, State.OVER)),
        *((Fault.QUOTA, state) for state in (State.BEGINS, State.SUSPENDED, State.STOPS, State.OVER)),
        *_UNPLACED,
    }
)


@dataclass(frozen=True)
class Plot:
    """One simulated run: `lead` strikes while it is in `state`, the `others` now and then.

    Attributes:
        edition: of what is simulated, see `EDITION`.
        secret: another run beside it sends requests with a Secret.
        room: bytes of tasks that its Workflow may have; None where it has more than it will ever need.
        clocks: in the end, time limits are tried; `killed` tells whether the operator is killed while they run.
        gentle: what asks pods to go, often, whatever the state of the run.
        leases: its operators divide the runs among them.
    """

    seed: int
    scenario: Scenario
    lead: Fault
    state: State
    others: Sequence[Fault]
    edition: int = 1
    secret: bool = False
    room: int | None = None
    clocks: bool = False
    killed: bool = False
    gentle: Fault | None = None
    leases: bool = False

    @property
    def lengths(self) -> Sequence[float]:
        """Seconds that pods run: longer where the state would not last."""
        return (0.1, 1, 2, 5, 10) if self.state in (State.RUNS, State.LARGE, State.OVER) else (1, 5, 10, 20, 40)


#: What is simulated now. A saved seed names its own: whatever was added since is left out of its run, so that it means
#: the same run for ever.
EDITION = 3

#: Faults by the edition in which they came, where that is not the first.
_LATER = {Fault.UNREADABLE: 2}


def cells(edition: int = EDITION) -> list[tuple[Fault, State]]:
    """Return all combinations of a fault and a state that can be."""
    impossible = IMPOSSIBLE if edition > 1 else IMPOSSIBLE - _UNPLACED
    return [(fault, state) for fault in faults(edition) for state in State if (fault, state) not in impossible]


def faults(edition: int = EDITION) -> list[Fault]:
    """Return the faults that there are in an edition."""
    return [fault for fault in Fault if _LATER.get(fault, 1) <= edition]


#: Has no common divisor with the number of cells: seeds in a row come to all states.
_STRIDE = 97


#: What tells pods to go and gives them time: some of them end well all the same. In how many plots there is much of it.
_GENTLE, _DELETES = (Fault.DELETED, Fault.PREEMPTED, Fault.EVICTED), 0.5

#: In how many plots a Secret is used, in how many there is little room, and in how many time limits are tried.
_SECRET, _SMALL, _CLOCKS = 0.2, 0.3, 0.4


def plot(seed: int, edition: int = EDITION) -> Plot:
    """Think up a plot. Seeds in a row take turns in what strikes, and in which state."""
    random = Random(f"plot {seed}")
    possible = cells(edition)
    lead, state = possible[seed * _STRIDE % len(possible)]
    others = random.sample(faults(edition), random.choice([0, 1, 1, 2, 3]))
    found = Plot(seed, _fitting(random, lead, state), lead, state, others)
    for number, more in ((2, _more), (3, _replicas)):
        found = more(found) if edition >= number else found
    return found


def _more(found: Plot) -> Plot:
    """Add what the second edition has to a plot of the first one, by chances of its own."""
    random = Random(f"more of {found.seed}")
    secret, small = random.random() < _SECRET, random.random() < _SMALL
    room = random.choice((300, 700, 1_500)) if small and not found.scenario.large else None
    clocks, killed = random.random() < _CLOCKS, random.random() < 0.5
    gentle = random.choice(_GENTLE) if random.random() < _DELETES else None
    return replace(found, edition=2, secret=secret, room=room, clocks=clocks, killed=killed, gentle=gentle)


def _replicas(found: Plot) -> Plot:
    """Add what the third edition has: Leases, in about half of all plots, whatever leads in them."""
    return replace(found, edition=3, leases=Random(f"leases {found.seed}").random() < 0.5)


def seeds_of(lead: Fault, state: State, first: int) -> Iterator[int]:
    """Return the seeds in which a fault leads in a state, from a first one on."""
    count = len(cells())
    own = cells().index((lead, state)) * pow(_STRIDE, -1, count) % count
    return itertools.count(first + (own - first) % count, count)


def _fitting(random: Random, lead: Fault, state: State) -> Scenario:
    """Return a scenario that comes into a state, as far as can be told beforehand."""
    for _ in range(400):
        found = scenario(random.randrange(10**9))
        if any(end.way is Way.STARVES for task in found.tasks for end in task.ends):
            continue  # whether it does depends on what becomes of the one that holds the slot
        if _fits(found, state) and (lead not in _ON_PODS or _has_pods(found, state)):
            return _led(found, state, random)
    raise AssertionError(f"no scenario comes into the state {state.value!r}")


def _led(found: Scenario, state: State, random: Random) -> Scenario:
    """Return a scenario with what is asked for in it, where few have that of themselves."""
    undisturbed = replace(found, marks={}, suspended=None, stop=None, deadline=None, parallelism=None)
    match state:
        case State.STOPS:
            return replace(undisturbed, stop=StopMode.GRACEFUL, stop_at=random.randint(1, 5))
        case State.SUSPENDED:
            since = random.randint(1, 7)
            return replace(undisturbed, suspended=(since, since + 40))
        case State.EPOCH:
            main = [task for task in found.tasks if not task.final]
            again = random.choice([i for i, task in enumerate(main) if task in _first(found)])
            return replace(found, epochs=[Epoch(Again.CLEAR, again), *found.epochs[1:]])
        case _:
            return found


def _has_pods(found: Scenario, state: State) -> bool:
    """Tell whether there may be live pods in a state."""
    pods = [task for task in found.tasks if task.kind in _BY_PODS]
    match state:
        case State.FINALLY:
            return any(task.final for task in pods)
        case State.LIST:
            return any(task.each is not None for task in pods)
        case State.STOPS | State.SUSPENDED:
            return len(_first(found)) > 1  # those that run go on, and no others begin
        case _:
            return bool(pods)


def _first(found: Scenario) -> list[Task]:
    """Return the tasks of the main part whose pods are there from the beginning."""
    pods = (task for task in found.tasks if task.kind in _BY_PODS and not task.final)
    return [task for task in pods if not task.needs and task.when is None]


def _fits(found: Scenario, state: State) -> bool:
    first = _first(found)
    match state:
        case State.CHILD:
            return any(task.kind is WorkKind.WORKFLOW and not task.needs for task in found.tasks)
        case State.LIST:
            return any(task.each is not None for task in found.tasks)
        case State.FINALLY:
            return any(task.final and task.kind in _BY_PODS and task.when is None for task in found.tasks)
        case State.EPOCH | State.STOPS | State.SUSPENDED:
            return bool(first)
        case State.LARGE:
            return found.large
        case State.RETRIES:
            return any(task.limit and task.end(None, 1).way is Way.EXIT for task in first)
        case State.ACTION:
            return bool(first) and len(found.tasks) > 2
        case _:
            return True
