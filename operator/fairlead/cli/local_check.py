"""What `fairlead run --local` checks before anything starts: the definition, its templates, and what is given to it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fairlead.api.compile import Compiled, check_template, compile_workflow
from fairlead.api.lint import Templates
from fairlead.api.lint_subworkflows import check_subworkflows
from fairlead.api.problems import InvalidSpec, Problem, Severity
from fairlead.api.resolution import UnknownTemplate, merge_definition
from fairlead.cli.answers import asked_in, read_answers
from fairlead.cli.arguments import split_assignments, with_arguments
from fairlead.cli.exits import CliError
from fairlead.cli.source import find_files, load_yaml, pick_workflow, read_text
from fairlead.engine.names import task_and_index
from fairlead.expr.cel import CelEvaluator
from fairlead.local.definitions import Find, definitions
from fairlead.local.questions import Answer
from fairlead.local.refusals import find_refusals

__all__ = ["Given", "Source", "check"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A Workflow from a file, and the templates that it may name."""

    file: Path
    workflow: Mapping[str, Any]
    templates: Templates

    @classmethod
    def read(cls, file: Path, name: str | None, templates: Iterable[Path]) -> Source:
        """Read the files. Templates of the workflow's own file win. Raises :class:`CliError`."""
        documents = load_yaml(read_text(file), file)
        workflow = pick_workflow(documents, file, name)
        more = [document for path in find_files(templates) for document in load_yaml(read_text(path), path)]
        return cls(file=file, workflow=workflow, templates=Templates([*more, *documents]))

    @property
    def find(self) -> Find:
        """How the workflow finds templates."""
        return self.templates.from_within(self.workflow)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the user gives along with it: values of parameters, variables for tasks, answers.

    `can_ask` tells that approvals can be asked for.
    """

    params: Sequence[str]
    param_file: Path | None
    passed: Mapping[str, str]
    answers: Sequence[str]
    can_ask: bool


def check(source: Source, given: Given) -> tuple[Compiled, dict[str, Answer], list[Problem]]:
    """Check everything there is to check. Returns advice, too. Raises :class:`InvalidSpec` and :class:`CliError`."""
    spec = source.workflow.get("spec")
    if not isinstance(spec, dict):
        raise InvalidSpec([Problem("spec", "must be an object")])
    definition, evaluator = source.templates.of(source.workflow), CelEvaluator()
    whole = spec if definition is None else merge_definition(spec, definition)
    compiled = _compiled(source, _with_arguments(spec, whole, given), definition, evaluator)
    problems = [*compiled.warnings, *_problems_of_templates(whole, source.find, evaluator)]
    answers: dict[str, Answer] = {}
    if not _has_errors(problems):
        answers = read_answers(given.answers, asked_in(whole, source.find))
        answered = {task_and_index(node)[0] for node in answers}

        def can_answer(task: str, kind: str) -> bool:
            return task in answered or (given.can_ask and kind == "approval")

        problems += find_refusals(whole, given.passed, find=source.find, can_answer=can_answer)
    if _has_errors(problems):
        raise InvalidSpec(problems)
    return compiled, answers, problems


def _with_arguments(spec: dict[str, Any], whole: Mapping[str, Any], given: Given) -> dict[str, Any]:
    """Return the spec with what was given for its parameters."""
    texts, from_file = split_assignments(given.params, "-p"), _param_file(given.param_file)
    if not texts and not from_file:
        return spec
    return {**spec, "arguments": with_arguments(whole, from_file, texts)["arguments"]}


def _compiled(source: Source, spec: Mapping[str, Any], definition: Any, evaluator: CelEvaluator) -> Compiled:
    metadata = source.workflow.get("metadata") or {}
    name = metadata.get("name") or f"{metadata.get('generateName') or source.file.stem}{secrets.token_hex(3)}"
    namespace = metadata.get("namespace") or "default"
    try:
        return compile_workflow(spec, evaluator=evaluator, name=name, namespace=namespace, definition=definition)
    except UnknownTemplate as unknown:
        words = f"there is no WorkflowTemplate {unknown.name!r} among the files; name the one that has it with "
        missing = Problem("spec.templateRef.name", f"{words}`--templates`")
        raise InvalidSpec([*unknown.others, missing]) from unknown


def _problems_of_templates(spec: Mapping[str, Any], find: Find, evaluator: CelEvaluator) -> list[Problem]:
    """Return the errors of the templates that a run may come to, and of how they are called."""
    problems = [*check_subworkflows(spec, find)]
    for each in definitions(spec, find):
        if each.template and each.spec is not None:
            found = [*check_template(each.spec, evaluator=evaluator)]
            if not _has_errors(found):
                found += check_subworkflows(each.spec, find)
            problems += [
                replace(problem, path=each.field, message=f"WorkflowTemplate {each.template!r}: {problem}")
                for problem in found
            ]
    # What is not known is refused all the same; see there.
    return [problem for problem in problems if problem.severity is Severity.ERROR]


def _has_errors(problems: Iterable[Problem]) -> bool:
    return any(problem.severity is Severity.ERROR for problem in problems)


def _param_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    documents = load_yaml(read_text(path), path) or [{}]
    if len(documents) > 1 or not isinstance(documents[0], dict):
        raise CliError(f"{path} must be one mapping of parameters to values")
    return documents[0]
