"""What is simulated under a seed: which scenario, and which faults strike in which of its states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from tests.property.scenarios import Again, Scenario, scenario
from tests.property.script import Way
from tests.sim.states import State

from fairlead.engine.model import StopMode, WorkKind
from fairlead.testing.faults import Fault

__all__ = ["IMPOSSIBLE", "Plot", "cells", "plot"]

#: Kinds of tasks that are played by pods here.
_BY_PODS = (WorkKind.POD, WorkKind.JOB, WorkKind.HTTP, WorkKind.RESOURCE)

_ON_PODS = frozenset(
    {
        Fault.EVICTED,
        Fault.PREEMPTED,
        Fault.DELETED,
        Fault.FORCE_DELETED,
        Fault.NODE_LOST,
        Fault.LABEL_STRIPPED,
        Fault.FINALIZER_STRIPPED,
        Fault.FOREIGN_POD,
    }
)

#: What cannot be: before a run begins and after it is over there are no pods to be harmed or to be created; of one that
#: is suspended none is created either.
IMPOSSIBLE = frozenset(
    {
        *((fault, state) for fault in _ON_PODS for state in (State.BEGINS, State.OVER)),
        *((Fault.QUOTA, state) for state in (State.BEGINS, State.SUSPENDED, State.STOPS, State.OVER)),
    }
)


@dataclass(frozen=True)
class Plot:
    """One simulated run: `lead` strikes while it is in `state`, the `others` now and then."""

    seed: int
    scenario: Scenario
    lead: Fault
    state: State
    others: Sequence[Fault]

    @property
    def lengths(self) -> Sequence[float]:
        """Seconds that pods run: longer where the state would not last."""
        return (0.1, 1, 2, 5, 10) if self.state in (State.RUNS, State.LARGE, State.OVER) else (1, 5, 10, 20, 40)


def cells() -> list[tuple[Fault, State]]:
    """Return all combinations of a fault and a state that can be."""
    return [(fault, state) for fault in Fault for state in State if (fault, state) not in IMPOSSIBLE]


#: States that do not last, or that few runs come into.
_RARE = frozenset({State.RETRIES, State.CHILD, State.EPOCH, State.ACTION, State.STOPS, State.SUSPENDED, State.FINALLY})

_LEADS = [*cells(), *(cell for cell in cells() if cell[1] in _RARE)]


def plot(seed: int) -> Plot:
    """Think up a plot. Seeds in a row take turns in what strikes, and in which state."""
    random = Random(f"plot {seed}")
    lead, state = _LEADS[seed * 97 % len(_LEADS)]
    others = random.sample(tuple(Fault), random.choice([0, 1, 1, 2, 3]))
    found = _fitting(random, lead, state)
    if state is State.SUSPENDED and found.suspended is not None:
        found = replace(found, suspended=(found.suspended[0], found.suspended[0] + 40))
    return Plot(seed, found, lead, state, others)


def _fitting(random: Random, lead: Fault, state: State) -> Scenario:
    """Return a scenario that comes into a state, as far as can be told beforehand."""
    for _ in range(400):
        found = scenario(random.randrange(10**9))
        if any(end.way is Way.STARVES for task in found.tasks for end in task.ends):
            continue  # whether it does depends on what becomes of the one that holds the slot
        if _fits(found, state) and (lead not in _ON_PODS or _has_pods(found, state)):
            return found
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
            # Those that run go on, and no others begin: there have to be some.
            return found.parallelism is None and sum(not task.needs and not task.final for task in pods) > 2
        case _:
            return bool(pods)


def _fits(found: Scenario, state: State) -> bool:
    first = [task for task in found.tasks if task.kind in _BY_PODS and not task.needs and task.when is None]
    match state:
        case State.CHILD:
            return any(task.kind is WorkKind.WORKFLOW and not task.needs for task in found.tasks)
        case State.LIST:
            return any(task.each is not None for task in found.tasks)
        case State.FINALLY:
            return any(task.final for task in first)
        case State.EPOCH:
            again, pick = (found.epochs[0].again, found.epochs[0].pick) if found.epochs else (None, 0)
            main = [task for task in found.tasks if not task.final]
            return again is Again.CLEAR and main[pick % len(main)] in first
        case State.STOPS:
            early = found.stop is StopMode.GRACEFUL and found.stop_at < 6
            return early and any(not task.final for task in first)
        case State.SUSPENDED:
            return found.suspended is not None and found.suspended[0] < 8 and not found.marks
        case State.LARGE:
            return found.large
        case State.RETRIES:
            return any(task.limit and task.end(None, 1).way is Way.EXIT and not task.final for task in first)
        case State.ACTION:
            return bool(first) and len(found.tasks) > 2
        case _:
            return True
