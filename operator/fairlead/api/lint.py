"""Lint: the compile step for files, offline, with the line of each problem.

YAML is read as kubectl reads it (a date stays a string). Documents that are none of ours are skipped, so that a
file may hold a Workflow among other objects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from fairlead.api.compile import compile_workflow
from fairlead.api.problems import InvalidSpec, Problem, did_you_mean
from fairlead.api.workflow import Workflow
from fairlead.engine.expressions import Evaluator

__all__ = ["KubernetesLoader", "Linted", "lint_documents", "lint_text"]

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


class KubernetesLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, reading scalars as kubectl does.

    Without the type for dates, which JSON and so Kubernetes does not have; and with YAML 1.1's one-letter booleans, so
    that a task named `n` is refused here and not only by the API server.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - the name and the kind of attribute are PyYAML's
        first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    bool_values = {**yaml.SafeLoader.bool_values, "y": True, "n": False}  # noqa: RUF012


KubernetesLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^[yYnN]$"), list("yYnN"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """What lint found in a text: problems, the Workflows it checked, and how many documents were not ours."""

    problems: tuple[Problem, ...]
    checked: tuple[str, ...]
    skipped: int


def lint_documents(text: str, *, evaluator: Evaluator) -> list[Problem]:
    """Return everything wrong with the Workflows in a YAML or JSON text, warnings included, in its order.

    Each problem has the line nearest to its field, and the document as its `subject`.
    """
    return list(lint_text(text, evaluator=evaluator).problems)


def lint_text(text: str, *, evaluator: Evaluator) -> Linted:
    """Check the Workflows in a YAML or JSON text; see :func:`lint_documents`."""
    problems: list[Problem] = []
    checked: list[str] = []
    skipped = 0
    loader = KubernetesLoader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            document = _as_json(loader.construct_document(node))
            if not _is_ours(document):
                skipped += document is not None
                continue
            subject = _subject(document)
            checked.append(subject)
            found = [
                replace(problem, subject=subject, line=problem.line or _line(node, problem.path))
                for problem in (*_twice(node, ""), *_check(document, evaluator))
            ]
            problems += sorted(found, key=lambda problem: problem.line or 0)
    except RecursionError:
        problems.append(Problem("", "this is nested too deeply"))
    except (yaml.YAMLError, ValueError, TypeError) as error:
        mark = getattr(error, "problem_mark", None)
        message = getattr(error, "problem", None) or str(error)
        problems.append(Problem("", f"this is not YAML: {message}", line=mark.line + 1 if mark else None))
    finally:
        loader.dispose()
    return Linted(problems=tuple(problems), checked=tuple(checked), skipped=skipped)


def _as_json(document: Any) -> Any:
    """Return what kubectl would send: keys are strings. Raises ValueError or TypeError for what is not JSON."""
    return json.loads(json.dumps(document, allow_nan=False))


def _is_ours(document: Any) -> bool:
    group = str(document.get("apiVersion", "")).partition("/")[0] if isinstance(document, Mapping) else ""
    return group == Workflow.GROUP


def _subject(document: Mapping[str, Any]) -> str:
    metadata = document.get("metadata")
    name = metadata.get("name") or metadata.get("generateName") if isinstance(metadata, Mapping) else None
    return f"{document.get('kind') or '?'}/{name or '?'}"


def _check(document: Mapping[str, Any], evaluator: Evaluator) -> Iterator[Problem]:
    version = f"{Workflow.GROUP}/{Workflow.VERSION}"
    if document["apiVersion"] != version:
        yield Problem("apiVersion", f"must be {version}, not {document['apiVersion']!r}")
    kind = document.get("kind")
    if kind != Workflow.KIND:
        yield Problem("kind", f"must be {Workflow.KIND}, not {kind!r}{did_you_mean(str(kind), [Workflow.KIND])}")
        return
    yield from _unknown(document, _TOP_LEVEL, "")
    yield from _check_metadata(document.get("metadata"))
    metadata = document.get("metadata")
    given = metadata if isinstance(metadata, Mapping) else {}
    if "spec" not in document:
        yield Problem("spec", "is required")
        return
    try:
        compiled = compile_workflow(
            document["spec"],
            evaluator=evaluator,
            name=str(given.get("name") or given.get("generateName") or ""),
            namespace=str(given.get("namespace") or "default"),
        )
    except InvalidSpec as invalid:
        yield from invalid.problems
    else:
        yield from compiled.warnings


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


def _unknown(fields: Mapping[str, Any], known: tuple[str, ...], path: str) -> Iterator[Problem]:
    for name in fields:
        if name not in known:
            yield Problem(f"{path}{name}", f"unknown field{did_you_mean(str(name), known)}")


def _twice(node: yaml.Node, path: str) -> Iterator[Problem]:
    """Yield the keys that a mapping has twice; the first one would be lost in silence."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            field = f"{path}.{key.value}" if path else str(key.value)
            if key.value in seen:
                line = key.start_mark.line + 1
                yield Problem(field, "is written twice; only the last one would count", line=line)
            seen.add(key.value)
            yield from _twice(value, field)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _twice(item, f"{path}[{index}]")


def _line(node: yaml.Node, path: str) -> int:
    """Return the line of a field, or of the nearest thing around it that is there."""
    line: int = node.start_mark.line + 1
    rest = path
    while rest:
        step = _step(node, rest)
        if step is None:
            break
        line, node, rest = step
    return line


def _step(node: yaml.Node, path: str) -> tuple[int, yaml.Node, str] | None:
    """Return the line and the node of the first part of a path, and the rest of the path."""
    if isinstance(node, yaml.SequenceNode):
        index = re.match(r"\[(\d+)\]", path)
        if index is None or int(index[1]) >= len(node.value):
            return None
        item = node.value[int(index[1])]
        return item.start_mark.line + 1, item, path[index.end() :]
    if not isinstance(node, yaml.MappingNode):
        return None
    # The longest that fits, since names may have dots in them.
    for key, value in sorted(node.value, key=lambda pair: len(str(pair[0].value)), reverse=True):
        for written in (f".{key.value}", f"[{key.value}]", str(key.value)):
            if path.startswith(written) and path[len(written) : len(written) + 1] in {"", ".", "["}:
                return key.start_mark.line + 1, value, path[len(written) :]
    return None
