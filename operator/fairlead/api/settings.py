"""The part of a spec that may change while the run is going on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fairlead.api.flow import tolerance
from fairlead.api.parsing import Outline, outlines, parse_model, without_nulls
from fairlead.api.pod_rules import Report
from fairlead.api.problems import InvalidSpec, did_you_mean
from fairlead.api.resolution import merge_definition
from fairlead.api.workflow import LIVE_FIELDS, LiveSpec, TaskOverride
from fairlead.engine.model import Override, Settings

__all__ = ["compile_settings", "settings_of"]


def compile_settings(
    spec: Mapping[str, Any], definition: Mapping[str, Any] | None = None, *, report: Report | None = None
) -> Settings:
    """Return the settings in a spec, without compiling the rest.

    An override that does not fit the tasks is reported and left out: a run is not held up by it. Raises
    :class:`InvalidSpec` when one of these fields does not fit the schema.
    """
    if definition is not None and "templateRef" in spec:
        spec = merge_definition(without_nulls(spec), without_nulls(definition))
    live, problems = parse_model(
        LiveSpec, {key: value for key, value in spec.items() if key in LIVE_FIELDS and value is not None}, "spec"
    )
    if live is None:
        raise InvalidSpec(problems)
    return settings_of(live, outlines(spec) if live.overrides else (), report or (lambda _path, _message: None))


def settings_of(live: LiveSpec, tasks: Sequence[Outline], report: Report) -> Settings:
    """Return the settings. Overrides that do not fit `tasks` are reported and left out."""
    return Settings(
        suspend=bool(live.suspend),
        parallelism=live.parallelism,
        deadline_seconds=live.deadline_seconds,
        overrides=_overrides(live.overrides or (), tasks, report),
    )


def _overrides(given: Sequence[TaskOverride], tasks: Sequence[Outline], report: Report) -> dict[str, Override]:
    known = {task.name: task for task in tasks}
    overrides: dict[str, Override] = {}
    for index, each in enumerate(given):
        path = f"spec.overrides[{index}]"
        wrong: list[str] = []

        def refuse(field: str, message: str, wrong: list[str] = wrong) -> None:
            wrong.append(field)
            report(field, message)

        if each.task in overrides:
            refuse(f"{path}.task", f"another override is for {each.task!r}, too; give each task one")
        elif each.task not in known:
            refuse(f"{path}.task", f"no task named {each.task!r}{did_you_mean(each.task, tuple(known))}")
        elif not known[each.task].has_items:
            refuse(f"{path}.task", f"task {each.task!r} has no `forEach`, whose limits an override is for")
        if each.max_parallel is None and each.tolerate is None:
            refuse(path, "must have at least one of `maxParallel` and `tolerate`")
        tolerated = tolerance(each.tolerate, f"{path}.tolerate", refuse) if each.tolerate else None
        if not wrong:
            overrides[each.task] = Override(max_parallel=each.max_parallel, tolerance=tolerated)
    return overrides
