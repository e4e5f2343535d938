"""A Workflow that names a WorkflowTemplate, and the template's definition, as one spec.

What the Workflow says itself wins; the tasks and what belongs to them are the template's alone. Problems of the
template are told at the field that names it, with their place in the template in front of the words: paths lead into
the object that was submitted, wherever they are shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fairlead.api.parsing import parse_model, without_nulls
from fairlead.api.problems import InvalidSpec, Problem, listed
from fairlead.api.template import OF_TEMPLATES_ALONE, WorkflowTemplateSpec
from fairlead.api.workflow import OF_THE_TEMPLATE, WorkflowSpec

__all__ = ["Resolved", "UnknownTemplate", "merge_definition", "resolve"]

_Json = Mapping[str, Any]

_REFERENCE = "spec.templateRef"
_KEPT_BY_TEMPLATES = frozenset(info.alias or name for name, info in WorkflowTemplateSpec.model_fields.items())


class UnknownTemplate(InvalidSpec):
    """A Workflow names a template that is not there. `others` is what else is wrong with it, as far as can be told."""

    def __init__(self, name: str, others: Iterable[Problem]) -> None:
        self.name = name
        self.others = tuple(others)
        missing = Problem(f"{_REFERENCE}.name", f"there is no WorkflowTemplate {name!r}")
        super().__init__([*self.others, missing])


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A spec with its tasks written out. `template` names where they are from, "" for the spec itself.

    `own` are the fields that the Workflow says itself, `problems` what is wrong with where it has its tasks from.
    """

    spec: _Json
    problems: tuple[Problem, ...] = ()
    template: str = ""
    own: frozenset[str] = frozenset()

    def told(self, problems: Iterable[Problem]) -> Iterator[Problem]:
        """Yield problems of `spec`: those that the template has at the field that names it."""
        for problem in problems:
            if not self.template or _field_of(problem.path) in self.own:
                yield problem
            else:
                yield replace(problem, path=_REFERENCE, message=f"WorkflowTemplate {self.template!r}: {problem}")


def merge_definition(spec: _Json, definition: _Json) -> dict[str, Any]:
    """Return the spec of a Workflow with the definition of its template written out in place of `templateRef`.

    The arguments, suspension and limits of the Workflow stay. Never changes either of them; parts are shared.
    """
    kept = _KEPT_BY_TEMPLATES - OF_TEMPLATES_ALONE
    given = {key: value for key, value in definition.items() if key in kept}
    own = {key: value for key, value in spec.items() if key != "templateRef" and key not in OF_THE_TEMPLATE}
    return given | own


def resolve(spec: _Json, definition: _Json | None) -> Resolved:
    """Find out what a Workflow runs: its own tasks, or those of `definition`, the spec of the template that it names.

    Raises :class:`InvalidSpec` when that cannot be made out, :class:`UnknownTemplate` without the definition.
    """
    if "templateRef" not in spec:
        missing = () if "tasks" in spec else (Problem("spec.tasks", "is required, unless `templateRef` is given"),)
        return Resolved(spec=spec, problems=missing)
    _, problems = parse_model(WorkflowSpec, spec, "spec")
    words = f"must not be set together with `templateRef`: {listed(OF_THE_TEMPLATE)} are the template's"
    problems += [Problem(f"spec.{name}", words) for name in OF_THE_TEMPLATE if name in spec]
    reference = spec["templateRef"]
    name = reference.get("name") if isinstance(reference, Mapping) else None
    if not isinstance(name, str):
        raise InvalidSpec(problems)
    if definition is None:
        raise UnknownTemplate(name, problems)
    definition = without_nulls(definition)
    unknown = sorted(definition.keys() - _KEPT_BY_TEMPLATES)
    problems += [Problem(_REFERENCE, f"WorkflowTemplate {name!r}: spec.{key}: unknown field") for key in unknown]
    return Resolved(
        spec=merge_definition(spec, definition),
        problems=tuple(problems),
        template=name,
        own=frozenset(spec.keys() - set(OF_THE_TEMPLATE)) | {"arguments"},
    )


def _field_of(path: str) -> str:
    """Return the field of the spec in which a path begins: `arguments` of `spec.arguments[1].value`."""
    return path.removeprefix("spec").removeprefix(".").partition(".")[0].partition("[")[0]
