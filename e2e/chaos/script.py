"""Runs whose end is known before they begin: how each attempt ends is written into the task itself. Pure.

A `Script` collects the tasks of one run, and with each what has to become of it. What it is judged by is a `Planned`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from e2e.workflows import sh, workflow

__all__ = ["End", "Planned", "Request", "Script", "ends_by_attempt", "simulated"]

Object = dict[str, Any]

#: No attempt of a task that retries waits for longer than this before it is tried again.
_BACKOFF = {"backoff": {"initialSeconds": 1, "maxSeconds": 2}}


@dataclass(frozen=True, slots=True)
class End:
    """What has to become of a task or an item.

    `attempts` are those that count against its budget, or ended well; those that a fault costs come on top. `carrier`
    is what kind of object they are: pods, jobs, workflows, or "" for tasks without one.
    """

    phase: str = "Succeeded"
    attempts: int = 1
    carrier: str = "pods"


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a run in the middle of it, by a WorkflowAction, once `when(status, entries)` says so."""

    fields: Object
    when: Callable[[Object, Mapping[str, Object]], bool]


@dataclass(frozen=True, slots=True)
class Planned:
    """A run, and how it has to end. `children` says so of the runs that a `workflow` task makes, by task."""

    name: str
    documents: tuple[Object, ...]
    phase: str
    ends: Mapping[str, End]
    epoch: int = 1
    request: Request | None = None
    children: Mapping[str, Mapping[str, End]] = field(default_factory=dict)

    def nodes_of(self, task: str) -> list[str]:
        """The nodes of a task that carry something: itself, or its items."""
        return [node for node, end in self.ends.items() if node.partition("[")[0] == task and end.carrier]


def ends_by_attempt(codes: Sequence[int], seconds: float = 0) -> str:
    """Return a line of shell that ends with the n-th of these exit codes in its n-th attempt, and with 0 after them."""
    pause = f"sleep {seconds:g}; " if seconds else ""
    cases = "".join(f"{number}) exit {code};; " for number, code in enumerate(codes, 1) if code)
    return f'{pause}case "$FAIRLEAD_ATTEMPT" in {cases}*) exit 0;; esac' if cases else f"{pause}true"


def simulated(**fields: Any) -> Object:
    """Return the fields of a task whose pod is on a simulated node, where it ends at once and costs only requests."""
    return {
        "container": {"image": "busybox:1.36"},
        "pod": {
            "nodeSelector": {"type": "kwok"},
            "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
        },
        **fields,
    }


class Script:
    """The tasks of one run, added one after the other."""

    def __init__(self) -> None:
        self.tasks: dict[str, Object] = {}
        self.last: list[Object] = []
        self.ends: dict[str, End] = {}
        self.children: dict[str, Mapping[str, End]] = {}

    def pod(self, name: str, *codes: int, seconds: float = 0, **fields: Any) -> None:
        """A pod whose attempts end with these codes; it is tried as often as it takes for the last of them."""
        codes = codes or (0,)
        retry = {"retry": {"limit": len(codes) - 1, **_BACKOFF}} if len(codes) > 1 else {}
        self.tasks[name] = sh(ends_by_attempt(codes, seconds), **{**retry, **fields})
        self.ends[name] = End("Failed" if codes[-1] else "Succeeded", len(codes))

    def victim(self, name: str, **fields: Any) -> None:
        """A pod that runs until something takes it away; the next one ends well at once."""
        self.tasks[name] = sh(
            'test "$FAIRLEAD_ATTEMPT" -ge 2 || sleep 300', retry={"backoff": {"initialSeconds": 1}}, **fields
        )
        self.ends[name] = End()

    def job(self, name: str, seconds: float = 0, **fields: Any) -> None:
        """A batch/v1 Job with one pod."""
        container = {"name": "main", "image": "busybox:1.36", "command": ["sh", "-c", ends_by_attempt((0,), seconds)]}
        pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [container]}
        self.tasks[name] = {"job": {"spec": {"backoffLimit": 0, "template": {"spec": pod}}}, **fields}
        self.ends[name] = End(carrier="jobs")

    def items(self, name: str, ends: Sequence[Sequence[int]], tolerated: int = 0, **fields: Any) -> None:
        """A list of pods; `ends` has the codes of each item's attempts."""
        limit = max(len(codes) for codes in ends) - 1
        # In one script for all items: a task has one, whatever its items are.
        cases = "".join(
            f"{index}-{number}) exit {code};; "
            for index, codes in enumerate(ends)
            for number, code in enumerate(codes, 1)
            if code
        )
        script = f'case "$FAIRLEAD_ITEM_INDEX-$FAIRLEAD_ATTEMPT" in {cases}*) exit 0;; esac'
        each = {"in": list(range(len(ends))), "maxParallel": 4, "tolerate": {"count": tolerated}}
        self.tasks[name] = sh(script, forEach=each, retry={"limit": limit, **_BACKOFF}, **fields)
        self.ends[name] = End(attempts=0, carrier="")
        for index, codes in enumerate(ends):
            self.ends[f"{name}[{index}]"] = End("Failed" if codes[-1] else "Succeeded", len(codes))

    def simulated_items(self, name: str, count: int, parallel: int, **fields: Any) -> None:
        """A list of pods on simulated nodes, all of which end well."""
        self.tasks[name] = simulated(forEach={"in": list(range(count)), "maxParallel": parallel}, **fields)
        self.ends[name] = End(attempts=0, carrier="")
        self.ends |= {f"{name}[{index}]": End() for index in range(count)}

    def sub(self, name: str, template: str, ends: Mapping[str, End], count: int = 0, **fields: Any) -> None:
        """A run of a template, or with `count` a list of them."""
        self.tasks[name] = {"workflow": {"templateRef": {"name": template}}, **fields}
        self.children[name] = ends
        if count:
            self.tasks[name]["forEach"] = {"in": list(range(count)), "maxParallel": 2}
            self.ends[name] = End(attempts=0, carrier="")
            self.ends |= {f"{name}[{index}]": End(carrier="workflows") for index in range(count)}
        else:
            self.ends[name] = End(carrier="workflows")

    def podless(self, name: str, **fields: Any) -> None:
        """A task without an object, such as a wait; it ends well."""
        self.tasks[name] = fields
        self.ends[name] = End(carrier="")

    def finally_(self, name: str) -> None:
        """A pod that comes when all others have ended."""
        self.last.append({"name": name, **sh("true")})
        self.ends[name] = End()

    def never(self, name: str, phase: str, **fields: Any) -> None:
        """A pod that must not come to be."""
        self.tasks[name] = sh("true", **fields)
        self.ends[name] = End(phase, 0)

    def planned(
        self, name: str, phase: str = "Succeeded", *, templates: Sequence[Object] = (), epoch: int = 1, **spec: Any
    ) -> Planned:
        """Return the run. `spec` has further fields of it, `request` what is asked of it."""
        request: Request | None = spec.pop("request", None)
        last = {"finally": self.last} if self.last else {}
        documents = (*templates, workflow(name, self.tasks, **last, **spec))
        return Planned(name, documents, phase, self.ends, epoch, request, self.children)
