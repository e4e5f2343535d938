"""One question of the API server, whether an object may be created or changed, and its answer. Pure.

What is wrong is found by the functions that the controllers and `fairlead lint` use: nothing is checked here alone. An
answer has the form of the API server's own refusals, all problems at once, so that kubectl and others print it as such.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from fairlead.api.action import WorkflowAction, check_action
from fairlead.api.compile import check_template, compile_workflow
from fairlead.api.objects import ApiObject
from fairlead.api.problems import InvalidSpec, Problem, Severity
from fairlead.api.resolution import UnknownTemplate
from fairlead.api.settings import compile_settings
from fairlead.api.template import WorkflowTemplate
from fairlead.api.workflow import Workflow
from fairlead.engine.expressions import Evaluator

from .definitions import template_of

__all__ = ["KINDS", "Found", "Review", "answer", "examine", "read_review"]

_Json = Mapping[str, Any]

#: The kinds that people write.
KINDS = (Workflow.KIND, WorkflowTemplate.KIND, WorkflowAction.KIND)

_REVIEWS = "admission.k8s.io/v1"
#: Of a definition with more problems than this, the first ones are told, and how many there are.
_MAX_CAUSES = 1000
#: The API server cuts what is longer than 4,096 characters in all.
_MAX_WARNINGS = 20
_VALUE_CHARACTERS = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What is asked. `old` is the object as it is, empty where there is none yet."""

    uid: str
    kind: str
    group: str
    namespace: str
    operation: str
    subresource: str
    object: _Json
    old: _Json

    @property
    def name(self) -> str:
        """The object's name."""
        metadata = self.object.get("metadata") or {}
        return str(metadata.get("name") or metadata.get("generateName") or "")

    @property
    def is_judged(self) -> bool:
        """Whether this is about a definition that is new.

        What leaves the spec as it is passes: somebody may have to take a finalizer off what was never valid.
        """
        if self.group != ApiObject.GROUP or self.kind not in KINDS or self.subresource:
            return False
        if self.operation == "CREATE":
            return True
        changed = self.object.get("spec") != self.old.get("spec")
        return self.operation == "UPDATE" and changed and not _deleted(self.object)

    @property
    def has_started(self) -> bool:
        """Whether this is a run that has begun: most of its definition is fixed, and is not looked at any more."""
        return bool((self.old.get("status") or {}).get("startTime"))

    @property
    def template(self) -> str | None:
        """The template that a Workflow names; None for none."""
        spec = self.object.get("spec")
        return template_of(spec) if self.kind == Workflow.KIND and isinstance(spec, Mapping) else None

    @property
    def revision(self) -> str | None:
        """The object that keeps what the template was when this run began; None for none."""
        definition = (self.old.get("status") or {}).get("definition") or {}
        return definition.get("revision") if self.has_started else None

    @property
    def has_new_overrides(self) -> bool:
        """Whether limits of single tasks are other ones than before."""
        new, old = (document.get("spec") or {} for document in (self.object, self.old))
        return bool(new.get("overrides") != old.get("overrides"))


@dataclass(frozen=True, slots=True)
class Found:
    """What was found. With errors, the object is refused."""

    errors: Sequence[Problem] = ()
    warnings: Sequence[str] = ()


def read_review(body: bytes) -> Review:
    """Read an AdmissionReview. Raises ValueError for anything else."""
    document = orjson.loads(body)
    if not isinstance(document, dict) or document.get("apiVersion") != _REVIEWS:
        raise ValueError(f"this is not an AdmissionReview of {_REVIEWS}")
    request = document.get("request")
    if not isinstance(request, dict) or not isinstance(request.get("uid"), str):
        raise ValueError("the AdmissionReview has no request with a uid")
    kind, object_, old = (request.get(name) or {} for name in ("kind", "object", "oldObject"))
    if not all(isinstance(each, dict) for each in (kind, object_, old)):
        raise ValueError("kind, object and oldObject of the request must be objects")
    return Review(
        uid=request["uid"],
        kind=str(kind.get("kind") or ""),
        group=str(kind.get("group") or ""),
        namespace=str(request.get("namespace") or ""),
        operation=str(request.get("operation") or ""),
        subresource=str(request.get("subResource") or ""),
        object=object_,
        old=old,
    )


def examine(review: Review, definition: _Json | None, evaluator: Evaluator, unread: str = "") -> Found:
    """Find everything that is wrong with the object of a review.

    `definition` is the spec of the template that it names: of a run, as the run keeps it. `unread` says why it could
    not be read, "" where it is not there: it may come later, so that is no error.
    """
    spec = review.object.get("spec")
    match review.kind:
        case Workflow.KIND if review.has_started:
            return _examine_run(review, definition)
        case Workflow.KIND:
            return _examine_workflow(review, definition, evaluator, unread)
        case WorkflowTemplate.KIND:
            return _found(check_template(spec, evaluator=evaluator))
        case _:
            return _found(check_action(spec))


def _examine_workflow(review: Review, definition: _Json | None, evaluator: Evaluator, unread: str) -> Found:
    try:
        compiled = compile_workflow(
            review.object.get("spec"),  # type: ignore[arg-type]  # anything else is a problem that it tells
            evaluator=evaluator,
            name=review.name,
            namespace=review.namespace,
            definition=definition,
        )
    except UnknownTemplate as unknown:
        why = f"WorkflowTemplate {unknown.name!r} cannot be read ({unread})" if unread else ""
        why = why or f"there is no WorkflowTemplate {unknown.name!r} (yet), and the run waits for it"
        return Found(unknown.others, [f"spec.templateRef.name: {why}; the arguments for it have not been checked"])
    except InvalidSpec as invalid:
        return Found(invalid.problems)
    return _found(compiled.warnings)


def _examine_run(review: Review, definition: _Json | None) -> Found:
    """Judge what may change while a run is going on."""
    problems: list[Problem] = []
    try:
        compile_settings(
            review.object["spec"], definition, report=lambda path, message: problems.append(Problem(path, message))
        )
    except InvalidSpec as invalid:
        return Found(invalid.problems)
    # An override that fits no task is left out by the run. One that is there already must not keep it from being
    # suspended; and without the tasks nothing is known of any.
    knows_tasks = review.template is None or definition is not None
    return Found(problems if knows_tasks and review.has_new_overrides else ())


def _found(problems: Iterable[Problem]) -> Found:
    all_of_them = list(problems)
    errors = [problem for problem in all_of_them if problem.severity is Severity.ERROR]
    return Found(errors, [str(problem) for problem in all_of_them if problem.severity is not Severity.ERROR])


def answer(review: Review, found: Found) -> dict[str, Any]:
    """Return the AdmissionReview that is sent back."""
    response: dict[str, Any] = {"uid": review.uid, "allowed": not found.errors}
    if found.errors:
        response["status"] = _status(review, found.errors)
    if found.warnings:
        response["warnings"] = list(found.warnings[:_MAX_WARNINGS])
    return {"apiVersion": _REVIEWS, "kind": "AdmissionReview", "response": response}


def _status(review: Review, errors: Sequence[Problem]) -> dict[str, Any]:
    """Return what the API server says of objects that its own schema refuses: kubectl prints kind, name and causes."""
    causes = [_cause(review.object, error) for error in errors[:_MAX_CAUSES]]
    if left := len(errors) - len(causes):
        causes.append({"reason": "FieldValueInvalid", "field": "spec", "message": f"{left} more problems"})
    told = [f"{cause['field']}: {cause['message']}" for cause in causes]
    words = told[0] if len(told) == 1 else f"[{', '.join(told)}]"
    return {
        "status": "Failure",
        "reason": "Invalid",
        "code": 422,
        "message": f'{review.kind}.{review.group} "{review.name}" is invalid: {words}',
        "details": {"name": review.name, "group": review.group, "kind": review.kind, "causes": causes},
    }


def _cause(document: _Json, problem: Problem) -> dict[str, str]:
    reason, message = "FieldValueInvalid", problem.message
    for value in _values_at(document, problem.path):
        message = f"Invalid value: {_shown(value)}: {message}"
        break
    else:
        if message.startswith("is required"):
            reason, message = "FieldValueRequired", f"Required value: {message}"
    return {"reason": reason, "field": problem.path, "message": message}


def _values_at(node: Any, path: str) -> Iterator[Any]:
    """Yield the values that a path may mean; names may have dots in them."""
    if not path:
        yield node
    elif isinstance(node, Mapping):
        for key, value in node.items():
            for written in (f".{key}", f"[{key}]", key):
                rest = path.removeprefix(written)
                if rest != path and rest[:1] in {"", ".", "["}:
                    yield from _values_at(value, rest)
    elif isinstance(node, list) and path.startswith("["):
        index, _, rest = path[1:].partition("]")
        if index.isdecimal() and int(index) < len(node):
            yield from _values_at(node[int(index)], rest)


def _shown(value: Any) -> str:
    """Write a value as the API server does: of what is not a scalar, only its type."""
    if isinstance(value, Mapping):
        return '"object"'
    if isinstance(value, list):
        return '"array"'
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _VALUE_CHARACTERS else f'{text[: _VALUE_CHARACTERS - 2]}…"'


def _deleted(document: _Json) -> bool:
    return bool((document.get("metadata") or {}).get("deletionTimestamp"))
