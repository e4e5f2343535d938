"""Lint: the compile step for files, offline, with the line of each problem.

YAML is read as kubectl reads it (a date stays a string). Documents that are none of ours are skipped, so that a
file may hold a Workflow among other objects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from fairlead.api.lint_checks import Templates, check_document, is_ours
from fairlead.api.problems import Problem
from fairlead.api.yaml_limits import check_yaml
from fairlead.engine.expressions import Evaluator

__all__ = ["KubernetesLoader", "Linted", "Templates", "lint_documents", "lint_text", "read_templates"]


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

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Make a value. PyYAML's own errors about a text with a tag that does not fit it are of any type."""
        try:
            return super().construct_object(node, deep)
        except (LookupError, AttributeError, ArithmeticError) as error:
            problem = f"{node.value!r:.60} is not what its tag {node.tag} says"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from error


KubernetesLoader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^[yYnN]$"), list("yYnN"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """What lint found in a text: problems, the documents it checked, and how many were not ours."""

    problems: tuple[Problem, ...]
    checked: tuple[str, ...]
    skipped: int


def lint_documents(text: str, *, evaluator: Evaluator, templates: Templates | None = None) -> list[Problem]:
    """Return everything wrong with our documents in a YAML or JSON text, warnings included, in its order.

    Each problem has the line nearest to its field, and the document as its `subject`. `templates` are those that
    Workflows may name: by default the ones in the text itself.
    """
    return list(lint_text(text, evaluator=evaluator, templates=templates).problems)


def read_templates(texts: Iterable[str]) -> Templates:
    """Return the WorkflowTemplates in texts. What is no YAML has none: linting it says so."""
    documents: list[Any] = []
    for text in texts:
        try:
            check_yaml(text)
            documents += [_as_json(document) for document in yaml.load_all(text, KubernetesLoader)]
        except (RecursionError, yaml.YAMLError, ValueError, TypeError):
            continue
    return Templates(documents)


def lint_text(text: str, *, evaluator: Evaluator, templates: Templates | None = None) -> Linted:
    """Check our documents in a YAML or JSON text; see :func:`lint_documents`."""
    known = read_templates([text]) if templates is None else templates
    problems: list[Problem] = []
    checked: list[str] = []
    skipped = 0
    try:
        check_yaml(text)
    except yaml.YAMLError as error:
        return Linted(problems=(_no_yaml(error),), checked=(), skipped=0)
    loader = KubernetesLoader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            document = _as_json(loader.construct_document(node))
            if not is_ours(document):
                skipped += document is not None
                continue
            subject = _subject(document)
            checked.append(subject)
            found = [
                replace(problem, subject=subject, line=problem.line or _line(node, problem.path))
                for problem in (*_twice(node, ""), *check_document(document, known, evaluator))
            ]
            problems += sorted(found, key=lambda problem: problem.line or 0)
    except RecursionError:
        problems.append(Problem("", "this is nested too deeply"))
    except (yaml.YAMLError, ValueError, TypeError) as error:
        problems.append(_no_yaml(error))
    finally:
        loader.dispose()
    return Linted(problems=tuple(problems), checked=tuple(checked), skipped=skipped)


def _no_yaml(error: Exception) -> Problem:
    mark = getattr(error, "problem_mark", None)
    message = getattr(error, "problem", None) or str(error)
    return Problem("", f"this is not YAML: {message}", line=mark.line + 1 if mark else None)


def _as_json(document: Any) -> Any:
    """Return what kubectl would send: keys are strings. Raises ValueError or TypeError for what is not JSON."""
    return json.loads(json.dumps(document, allow_nan=False))


def _subject(document: Mapping[str, Any]) -> str:
    metadata = document.get("metadata")
    name = metadata.get("name") or metadata.get("generateName") if isinstance(metadata, Mapping) else None
    return f"{document.get('kind') or '?'}/{name or '?'}"


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
