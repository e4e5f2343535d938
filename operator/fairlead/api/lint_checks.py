"""What lint checks of one document: its kind, its metadata, and its spec by the rules of the kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from fairlead.api.action import WorkflowAction, check_action
from fairlead.api.compile import check_template, compile_workflow
from fairlead.api.lint_subworkflows import check_subworkflows
from fairlead.api.objects import ApiObject
from fairlead.api.problems import InvalidSpec, Problem, Severity, did_you_mean
from fairlead.api.resolution import UnknownTemplate
from fairlead.api.template import WorkflowTemplate
from fairlead.api.workflow import Workflow
from fairlead.engine.expressions import Evaluator

__all__ = ["Templates", "check_document", "is_ours"]

_Json = Mapping[str, Any]

_TOP_LEVEL = ("apiVersion", "kind", "metadata", "spec", "status")
_METADATA = (
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
)
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MAX_NAME = 253

#: What people write. The operator's own kinds are not among them.
_KINDS = (Workflow.KIND, WorkflowTemplate.KIND, WorkflowAction.KIND)


def is_ours(document: Any) -> bool:
    """Tell whether a document is of our API group."""
    group = str(document.get("apiVersion", "")).partition("/")[0] if isinstance(document, Mapping) else ""
    return group == ApiObject.GROUP


class Templates:
    """WorkflowTemplates among documents, by the names that Workflows have for them."""

    def __init__(self, documents: Iterable[Any] = ()) -> None:
        self._specs: dict[tuple[str, str], Any] = {}
        for document in documents:
            if is_ours(document) and document.get("kind") == WorkflowTemplate.KIND:
                metadata = _metadata(document)
                self._specs[str(metadata.get("namespace") or ""), str(metadata.get("name") or "")] = document.get(
                    "spec"
                )

    def of(self, workflow: _Json) -> Any:
        """Return the spec of the template that a Workflow names, None when it names none or it is not among them."""
        return self.from_within(workflow)(_template_of(workflow.get("spec")))

    def from_within(self, document: _Json) -> Callable[[str], Any]:
        """Return how a document finds templates: by their names, in its own namespace."""
        return partial(self.find, str(_metadata(document).get("namespace") or ""))

    def find(self, namespace: str, name: str) -> Any:
        """Return the spec of a template, None when it is not among them.

        One without a namespace goes where it is applied to, and so may be meant from anywhere.
        """
        anywhere = [spec for (space, known), spec in self._specs.items() if known == name and not (space and namespace)]
        return self._specs.get((namespace, name), anywhere[0] if anywhere else None)


def check_document(document: _Json, templates: Templates, evaluator: Evaluator) -> Iterator[Problem]:
    """Yield everything that is wrong with a document of our group."""
    version = f"{ApiObject.GROUP}/{ApiObject.VERSION}"
    if document["apiVersion"] != version:
        yield Problem("apiVersion", f"must be {version}, not {document['apiVersion']!r}")
    kind = document.get("kind")
    if kind not in _KINDS:
        yield Problem(
            "kind", f"must be {', '.join(_KINDS[:-1])} or {_KINDS[-1]}, not {kind!r}{did_you_mean(str(kind), _KINDS)}"
        )
        return
    yield from _unknown(document, _TOP_LEVEL, "")
    yield from _check_metadata(document.get("metadata"))
    if "spec" not in document:
        yield Problem("spec", "is required")
        return
    spec = document["spec"]
    match kind:
        case Workflow.KIND:
            yield from _check_workflow(document, templates, evaluator)
        case WorkflowTemplate.KIND:
            yield from _check_template(document, templates, evaluator)
        case _:
            yield from check_action(spec)


def _check_workflow(document: _Json, templates: Templates, evaluator: Evaluator) -> Iterator[Problem]:
    metadata, spec, name = _metadata(document), document["spec"], _template_of(document["spec"])
    definition = templates.of(document)
    if definition is not None and _has_errors(definition, evaluator):
        yield Problem("spec.templateRef", f"WorkflowTemplate {name!r} has errors of its own")
        return
    try:
        compiled = compile_workflow(
            spec,
            evaluator=evaluator,
            name=str(metadata.get("name") or metadata.get("generateName") or ""),
            namespace=str(metadata.get("namespace") or "default"),
            definition=definition,
        )
    except UnknownTemplate as unknown:
        yield from unknown.others
        words = f"no WorkflowTemplate {name!r} is among these files: it, and the arguments for it, are not checked"
        yield Problem("spec.templateRef.name", words, Severity.WARNING)
    except InvalidSpec as invalid:
        yield from invalid.problems
    else:
        yield from compiled.warnings
        yield from check_subworkflows(spec, templates.from_within(document))


def _check_template(document: _Json, templates: Templates, evaluator: Evaluator) -> Iterator[Problem]:
    spec, metadata = document["spec"], _metadata(document)
    problems = check_template(spec, evaluator=evaluator)
    yield from problems
    if not any(each.severity is Severity.ERROR for each in problems):
        yield from check_subworkflows(spec, templates.from_within(document), str(metadata.get("name") or ""))


def _has_errors(definition: Any, evaluator: Evaluator) -> bool:
    return any(each.severity is Severity.ERROR for each in check_template(definition, evaluator=evaluator))


def _template_of(spec: Any) -> str:
    reference = spec.get("templateRef") if isinstance(spec, Mapping) else None
    name = reference.get("name") if isinstance(reference, Mapping) else None
    return name if isinstance(name, str) else ""


def _metadata(document: _Json) -> _Json:
    metadata = document.get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def _check_metadata(metadata: Any) -> Iterator[Problem]:
    if not isinstance(metadata, Mapping):
        yield Problem("metadata", "is required, with a `name` or a `generateName`")
        return
    yield from _unknown(metadata, _METADATA, "metadata.")
    name = metadata.get("name")
    if not name:
        if not metadata.get("generateName"):
            yield Problem("metadata.name", "is required (or `generateName`, with kubectl create)")
    elif not isinstance(name, str) or not _OBJECT_NAME.fullmatch(name) or len(name) > _MAX_NAME:
        yield Problem(
            "metadata.name",
            f"must consist of at most {_MAX_NAME} lowercase letters, digits, '-' and '.', and begin and end with "
            f"a letter or a digit, unlike {name!r}",
        )


def _unknown(fields: _Json, known: tuple[str, ...], path: str) -> Iterator[Problem]:
    for name in fields:
        if name not in known:
            yield Problem(f"{path}{name}", f"unknown field{did_you_mean(str(name), known)}")
