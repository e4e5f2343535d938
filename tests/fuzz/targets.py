"""What strangers can hand to Fairlead, as functions of bytes: read or refused, by the error that says so.

A target raises where something else came of it: another error, a result over its limit. Time and memory are bounded by
whoever calls it. The suite calls them with what Hypothesis thinks of, `make fuzz` with what atheris does.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from fairlead.api.compile import compile_workflow
from fairlead.api.lint import lint_text
from fairlead.api.problems import InvalidSpec
from fairlead.controllers.review import examine, read_review
from fairlead.egress.answer import LIMIT, _has_more_values, _json, _unpacked
from fairlead.engine.expressions import Declarations, ExpressionError
from fairlead.engine.model import OutputDeclaration, OutputSource, ValueType
from fairlead.engine.outputs import TEXT_LIMIT, OutputError, read_outputs
from fairlead.engine.templates import compile_tree
from fairlead.expr.cel import CelEvaluator
from fairlead.expr.values import MAX_RESULT_SIZE
from fairlead.telemetry.traces import context_of

__all__ = ["SEEDS", "TARGETS"]

EVALUATOR = CelEvaluator()

_DECLARATIONS = Declarations(
    params={"day": ValueType.STRING, "n": ValueType.INTEGER, "list": ValueType.ARRAY, "config": ValueType.OBJECT}
)
_PARAMS: Mapping[str, Any] = {"day": "2026-11-22" * 50, "n": 3, "list": list(range(500)), "config": {"a": {"b": [1]}}}


def yaml_text(data: bytes) -> None:
    """A file that is linted."""
    lint_text(data.decode("utf-8", "replace"), evaluator=EVALUATOR)


def expression(data: bytes) -> None:
    """One expression, evaluated."""
    source = data.decode("utf-8", "surrogateescape")
    try:
        value = EVALUATOR.compile(source, _DECLARATIONS).evaluate({"params": _PARAMS})
    except ExpressionError:
        return
    assert len(json.dumps(value)) <= 8 * MAX_RESULT_SIZE, "more than a result may have"


def template(data: bytes) -> None:
    """A string with expressions in it."""
    text = data.decode("utf-8", "replace")
    problems: list[str] = []
    tree = compile_tree(
        text, path="a", evaluator=EVALUATOR, declarations=_DECLARATIONS, report=lambda *said: problems.append(str(said))
    )
    if problems:
        return
    try:
        tree.evaluate({"params": _PARAMS})
    except ExpressionError:
        return


def definition(data: bytes) -> None:
    """The spec of a Workflow, as JSON."""
    try:
        spec = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        compile_workflow(spec, evaluator=EVALUATOR, name="w", namespace="ns")
    except InvalidSpec:
        return


def review(data: bytes) -> None:
    """What is posted to the webhook."""
    try:
        found = read_review(data)
    except ValueError:
        return
    if found.is_judged:
        examine(found, None, EVALUATOR)


_OUTPUTS = [
    *(OutputDeclaration(name=type_.value, type=type_, has_default=True) for type_ in ValueType),
    OutputDeclaration(name="printed", type=ValueType.OBJECT, source=OutputSource.STDOUT, has_default=True),
]


def outputs(data: bytes) -> None:
    """What a task writes and prints."""
    text = data.decode("utf-8", "replace")
    for written, printed in ((text, ""), ("", text)):
        try:
            values = read_outputs(_OUTPUTS, written, printed)
        except OutputError:
            continue
        assert len(json.dumps(values)) <= 16 * TEXT_LIMIT, "more than a task may hand on"


def answer(data: bytes) -> None:
    """What a server answers, packed or not."""
    for encoding in ("", "gzip", "deflate"):
        unpacked = _unpacked(data, encoding)
        assert len(unpacked) <= max(LIMIT + 1, len(data))
        body = _json(unpacked[:LIMIT].decode("utf-8", "replace"), "application/json")
        _has_more_values(body, 50_000)


def traceparent(data: bytes) -> None:
    """An annotation by which a run joins a trace."""
    context = context_of("uid", data.decode("utf-8", "replace"))
    assert len(context.trace_id) == 32
    assert int(context.trace_id, 16)


TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (yaml_text, expression, template, definition, review, outputs, answer, traceparent)
}

_TASK = '{"tasks": [{"name": "a", "container": {"image": "i", "args": ["${params.x}"]}}], "params": [{"name": "x"}]}'

#: Where to begin: something that is fine, and bombs.
SEEDS: dict[str, tuple[bytes, ...]] = {
    "yaml_text": (
        b"apiVersion: fairlead.dev/v1alpha1\nkind: Workflow\nmetadata: {name: a}\nspec: {tasks: [{name: a}]}\n",
        b"a: &a [x, x]\n" + b"".join(b"%c: &%c [*%c, *%c]\n" % (i + 1, i + 1, i, i) for i in range(97, 121)),
        b"a: &a {x: 1}\n" + b"".join(b"%c: &%c {<<: [*%c, *%c]}\n" % (i + 1, i + 1, i, i) for i in range(97, 121)),
        b"a: &a [*a]\n",
        b"[" * 100_000,
        b"{a: " * 5_000,
        b"- " * 5_000,
    ),
    "expression": (
        b"params.list.map(x, x * 2).sum() + params.n",
        b"params.list.all(a, params.list.all(b, params.list.all(c, true)))",
        b"['x']" + b".map(a, a + a)" * 30,
        b"params.day.replace('2', params.day).replace('2', params.day)",
        b"(" * 2_000,
        b"-" * 4_000 + b"1",
        b"params.day.matches('(a+)+$')",
    ),
    "template": (b"a ${params.day} b $${c}", b"${" * 1_000, b"${'}'}", b"$" * 5_000),
    "definition": (
        _TASK.encode(),
        b'{"tasks": []}',
        b"[" * 900 + b"]" * 900,
        b'{"tasks": [{"name": "a", "needs": ["a"]}]}',
    ),
    "review": (
        b'{"apiVersion": "admission.k8s.io/v1", "request": {"uid": "u", "operation": "CREATE", "kind": '
        b'{"group": "fairlead.dev", "kind": "Workflow"}, "object": {"kind": "Workflow", "spec": '
        + _TASK.encode()
        + b"}}}",
    ),
    "outputs": (b'{"string": "x"}', b"[" * 4_000, b'{"integer": 1e400}', b'{"integer": ' + b"9" * 4_000 + b"}"),
    "answer": (zlib.compress(b"0" * 5_000_000), b'{"a": [' + b"1," * 60_000 + b"1]}", b"[" * 100_000),
    "traceparent": (b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",),
}
