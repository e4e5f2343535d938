"""The mixed workload that faults meet: one run for each thing that can be under way. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from e2e.chaos.script import End, Planned, Request, Script
from e2e.workflows import sh, workflow

__all__ = ["large", "layers", "mixed", "victims"]

Object = dict[str, Any]

#: Tasks without a pod that make a run too large for its Workflow: its record is in shards.
MANY = 210

_PART = {"first": End(), "second": End(), "third": End(attempts=2)}


def mixed(suffix: str = "", *, depth: int = 24) -> list[Planned]:
    """Return the workload: with `depth` 24 some 200 tasks. With it the longest chains grow, and the time it takes."""
    return [
        layers(f"layers{suffix}", depth),
        _items(f"items{suffix}", depth),
        _budgets(f"budgets{suffix}", max(2, depth // 2)),
        _nested(f"nested{suffix}", max(1, depth // 6)),
        _jobs(f"jobs{suffix}", max(1, depth // 4)),
        _waits(f"waits{suffix}", max(1, depth // 3)),
        large(f"large{suffix}", items=max(8, depth)),
        _retried(f"retried{suffix}"),
        _stopped(f"stopped{suffix}"),
    ]


def layers(name: str, depth: int, *, seconds: float = 0.3, flaky: bool = True) -> Planned:
    """Return a graph of layers of three tasks, each after all of the layer before; some of them fail once."""
    script = Script()
    script.pod("start")
    before = ["start"]
    for layer in range(depth):
        for number in range(3):
            once = flaky and (layer + number) % 7 == 3
            codes = (1, 0) if once else (0,)
            script.pod(f"l{layer}-{number}", *codes, seconds=seconds, needs=before)
        before = [f"l{layer}-{number}" for number in range(3)]
    script.pod("end", needs=before)
    return script.planned(name)


def _items(name: str, count: int) -> Planned:
    """A list whose items fail none, one and two times; one of them fails for good, and is tolerated."""
    script = Script()
    ends = [(1,) * (index % 3) + (0,) for index in range(count)]
    ends[1] = (1, 1, 1)
    script.items("item", ends, tolerated=1)
    script.pod("after", needs=["item"])
    return script.planned(name)


def _budgets(name: str, depth: int) -> Planned:
    """A chain of flaky tasks with budgets, one of which is used up: the run fails, and `finally` runs all the same."""
    script = Script()
    needs: list[str] = []
    for number in range(depth):
        script.pod(f"b{number}", *(1,) * (number % 3), 0, needs=needs)
        needs = [f"b{number}"]
    script.pod("doomed", 3, 3, 3, needs=needs)
    script.never("never", "UpstreamFailed", needs=["doomed"])
    script.finally_("tidy")
    return script.planned(name, "Failed")


def _nested(name: str, depth: int) -> Planned:
    """A chain of sub-workflows, and a list of them at its end."""
    part = Script()
    part.pod("first")
    part.pod("second", needs=["first"])
    part.pod("third", 1, 0, needs=["second"])
    template = {**workflow(f"{name}-part", part.tasks), "kind": "WorkflowTemplate"}
    script = Script()
    needs: list[str] = []
    for number in range(depth):
        script.sub(f"sub{number}", f"{name}-part", _PART, needs=needs)
        needs = [f"sub{number}"]
    script.sub("list", f"{name}-part", _PART, count=3, needs=needs)
    return script.planned(name, templates=[template])


def _jobs(name: str, depth: int) -> Planned:
    script = Script()
    needs: list[str] = []
    for number in range(depth):
        script.job(f"left{number}", seconds=0.5, needs=needs)
        script.job(f"right{number}", needs=needs)
        needs = [f"left{number}", f"right{number}"]
    return script.planned(name)


def _waits(name: str, depth: int) -> Planned:
    """Waits, values and pods in turn."""
    script = Script()
    needs: list[str] = []
    for number in range(depth):
        script.podless(f"wait{number}", wait={"seconds": 2}, needs=needs)
        script.podless(f"set{number}", set={"values": [{"name": "n", "value": number}]}, needs=[f"wait{number}"])
        script.pod(f"pod{number}", needs=[f"set{number}"])
        needs = [f"pod{number}"]
    return script.planned(name)


def large(name: str, *, items: int = 24, last: float = 0) -> Planned:
    """Return a run whose record is in shards, with items on simulated nodes to keep it busy."""
    script = Script()
    script.pod("start")
    for number in range(MANY):
        value = {"values": [{"name": "x", "value": 1}]}
        script.podless(f"t{number:03}", set=value, group="many", needs=["start"])
    script.simulated_items("item", items, 4, needs=["many"])
    script.pod("end", seconds=last, needs=["item"])
    return script.planned(name)


def _retried(name: str) -> Planned:
    """Fails in its first epoch, and ends well in the second, which is asked for."""
    script = Script()
    script.pod("good")
    script.tasks["bad"] = sh('test "$FAIRLEAD_ATTEMPT" -ge 2')
    script.ends["bad"] = End(attempts=2)
    script.pod("after", needs=["bad", "good"])

    def failed(status: Object, entries: Mapping[str, Object]) -> bool:
        return status.get("phase") == "Failed"

    return script.planned(name, epoch=2, request=Request({"action": "Retry"}, failed))


def _stopped(name: str) -> Planned:
    """Would run for ever, and is stopped; `finally` runs."""
    script = Script()
    script.tasks["long"] = sh("sleep 3000")
    script.ends["long"] = End("Cancelled")
    script.never("next", "Cancelled", needs=["long"])
    script.finally_("tidy")

    def runs(status: Object, entries: Mapping[str, Object]) -> bool:
        return entries.get("long", {}).get("phase") == "Running"

    stop = Request({"action": "Stop", "mode": "Cancel"}, runs)
    return script.planned(name, "Cancelled", request=stop)


def victims(name: str, count: int, *, bystanders: int = 4) -> Planned:
    """Return a run of tasks whose first pods somebody will take away, beside a chain that must not notice."""
    script = Script()
    for number in range(count):
        script.victim(f"victim{number}")
    needs: list[str] = []
    for number in range(bystanders):
        script.pod(f"calm{number}", seconds=1, needs=needs)
        needs = [f"calm{number}"]
    return script.planned(name)
