"""All definitions that a run may come to: its own, and those of the templates that its `workflow` tasks name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Definition", "Find", "definitions", "tasks_of"]

_Json = Mapping[str, Any]

#: Returns the spec of a template by its name, None where it is not known.
Find = Callable[[str], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A spec; None where it is not known. One of a `template` is named by a `field` of the spec that is run."""

    spec: _Json | None
    template: str = ""
    field: str = ""


def definitions(spec: _Json, find: Find) -> Iterator[Definition]:
    """Yield a spec and each template that it may come to run, once. Expects a spec that compiles."""
    yield Definition(spec=spec)
    seen: set[str] = set()
    waiting = list(_named(spec, ""))
    for field, name in waiting:  # grows as it is gone through
        if name in seen:
            continue
        seen.add(name)
        template = find(name)
        known = template if isinstance(template, Mapping) else None
        yield Definition(spec=known, template=name, field=field)
        if known is not None:
            waiting += _named(known, field)


def tasks_of(spec: _Json) -> Iterator[tuple[str, _Json]]:
    """Yield each task of a spec with its field."""
    for section in ("tasks", "finally"):
        for index, task in enumerate(spec.get(section) or ()):
            if isinstance(task, Mapping):
                yield f"spec.{section}[{index}]", task


def _named(spec: _Json, field: str) -> Iterator[tuple[str, str]]:
    for path, task in tasks_of(spec):
        if reference := (task.get("workflow") or {}).get("templateRef"):
            yield field or f"{path}.workflow.templateRef.name", reference.get("name", "")
