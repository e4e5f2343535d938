"""What a run's definition says, as far as the invariants ask: read from the plain spec, not by the operator's compiler.

Edges that only a reference in an expression implies are left out, so that less is demanded than could be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from fairlead.engine.model import TriggerRule

__all__ = ["Definition", "Retries", "Task", "read_definition"]

_Json = Mapping[str, Any]

_KINDS = ("container", "script", "job", "resource", "workflow", "wait", "approval", "http", "set")

#: Fields by which a task may end although no attempt of it was ever created.
_ENDS_ALONE = ("when", "forEach", "set", "queueTimeoutSeconds", "deadlineSeconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often a task may be tried again, and after how long. `ruled`: rules say otherwise for some failures."""

    limit: int = 0
    infrastructure_limit: int = 5
    on_timeout: bool = False
    rule_limits: int = 0
    ruled: bool = False
    initial_seconds: float = 10.0
    factor: float = 2.0
    max_seconds: float = 300.0
    jitter: bool = False

    @property
    def most(self) -> int:
        """How many attempts there may be in one epoch and round."""
        return 1 + self.limit + self.infrastructure_limit + self.rule_limits

    def delay(self, failures: int) -> float:
        """Return the seconds after so many failures that the next attempt has to wait at least."""
        if self.ruled or self.jitter or failures < 1:
            return 0.0
        return min(self.initial_seconds * self.factor ** min(failures - 1, 64), self.max_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task. `needs` has groups written out; `rounds` are those of its `repeat`, 1 without.

    `may_end_alone`: it may come to its end by an expression, or by a limit, without ever having had an attempt.
    `may_give_up`: more than its plain budgets decides whether it is tried again.
    """

    name: str
    kind: str
    final: bool
    needs: tuple[str, ...]
    trigger: TriggerRule
    retries: Retries
    rounds: int
    for_each: bool
    max_parallel: int | None
    may_skip_items: bool
    may_end_alone: bool
    may_give_up: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """The tasks of a run."""

    tasks: Mapping[str, Task] = field(default_factory=dict)

    @property
    def main(self) -> Iterator[Task]:
        """Those that are not of `finally`."""
        return (task for task in self.tasks.values() if not task.final)


def read_definition(spec: _Json) -> Definition:
    """Read a spec with its tasks written out. Whatever does not fit the schema is left out."""
    defaults = spec.get("taskDefaults") or {}
    tasks: dict[str, Task] = {}
    for final, key in ((False, "tasks"), (True, "finally")):
        listed = [each for each in spec.get(key) or () if isinstance(each, Mapping) and "name" in each]
        needs = _needs(listed)
        tasks.update((each["name"], _task(each, defaults, needs[each["name"]], final=final)) for each in listed)
    return Definition(tasks=tasks)


def _needs(listed: Sequence[_Json]) -> dict[str, tuple[str, ...]]:
    groups: dict[str, list[str]] = {}
    for each in listed:
        if each.get("group"):
            groups.setdefault(each["group"], []).append(each["name"])
    names = {each["name"] for each in listed}
    found = {}
    for each in listed:
        parents: dict[str, None] = {}
        for name in each.get("needs") or ():
            parents.update(dict.fromkeys([name] if name in names else groups.get(name, ())))
        found[each["name"]] = tuple(parents)
    return found


def _task(raw: _Json, defaults: _Json, needs: tuple[str, ...], *, final: bool) -> Task:
    for_each = raw.get("forEach") or {}
    alone = any(key in raw for key in _ENDS_ALONE) or "queueTimeoutSeconds" in defaults or b"${" in orjson.dumps(raw)
    retries = _retries(raw.get("retry") or {}, defaults.get("retry") or {})
    return Task(
        name=raw["name"],
        kind=next((kind for kind in _KINDS if kind in raw), ""),
        final=final,
        needs=needs,
        trigger=TriggerRule(raw.get("trigger") or TriggerRule.ALL_SUCCEEDED),
        retries=retries,
        rounds=int((raw.get("repeat") or {}).get("maxIterations", 1)),
        for_each="forEach" in raw,
        max_parallel=for_each.get("maxParallel"),
        may_skip_items="when" in for_each or "repeat" in raw,  # its `until` may fail an item that succeeded
        may_end_alone=alone,
        may_give_up=retries.ruled or any(key in raw for key in ("repeat", "skipExitCodes", "deadlineSeconds")),
    )


def _retries(own: _Json, default: _Json) -> Retries:
    def chosen(name: str, fallback: Any) -> Any:
        found = (each[name] for each in (own, default) if each.get(name) is not None)
        return next(found, fallback)

    own_backoff, default_backoff = own.get("backoff") or {}, default.get("backoff") or {}
    backoff = {**default_backoff, **{key: value for key, value in own_backoff.items() if value is not None}}
    limit = chosen("limit", 0)
    # Which of the two lists of rules counts does not matter for what is allowed at most.
    rules = [*(own.get("rules") or ()), *(default.get("rules") or ())]
    return Retries(
        limit=limit,
        infrastructure_limit=chosen("infrastructureLimit", 5),
        on_timeout=bool(chosen("onTimeout", False)),
        rule_limits=sum(limit if rule.get("limit") is None else rule["limit"] for rule in rules),
        ruled=bool(rules),
        initial_seconds=backoff.get("initialSeconds", 10.0),
        factor=backoff.get("factor", 2.0),
        max_seconds=backoff.get("maxSeconds", 300.0),
        jitter=backoff.get("jitter") == "Full",
    )
