"""Answers that are given on the command line to what waits for somebody: `--answer TASK=…`, `--answer TASK.FIELD=…`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fairlead.api.problems import did_you_mean
from fairlead.cli.arguments import read_value
from fairlead.cli.exits import CliError
from fairlead.engine.model import ActionKind
from fairlead.engine.names import task_and_index
from fairlead.local.definitions import Find, definitions, tasks_of
from fairlead.local.questions import Answer, Question

__all__ = ["Asked", "answer_to", "asked_in", "read_answers"]

_REJECT = "Reject"
_APPROVE = "Approve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a task asks: with `options` an approval, without a callback.

    `types` are those of its form, or of its outputs; `required` those of the form without a default.
    """

    options: tuple[str, ...] = ()
    types: Mapping[str, str] = field(default_factory=dict)
    required: tuple[str, ...] = ()


def asked_in(spec: Mapping[str, Any], find: Find) -> dict[str, Asked]:
    """Return what is asked by a spec and the templates that it may run, by task."""
    found: dict[str, Asked] = {}
    for definition in definitions(spec, find):
        for _, task in tasks_of(definition.spec or {}):
            approval = task.get("approval")
            if approval is not None:
                form = approval.get("form") or ()
                found[task["name"]] = Asked(
                    options=tuple(approval.get("options") or (_APPROVE,)),
                    types=_types(form),
                    required=tuple(each["name"] for each in form if "default" not in each),
                )
            elif (task.get("wait") or {}).get("callback"):
                found[task["name"]] = Asked(types=_types(task.get("outputs") or ()))
    return found


def read_answers(given: Iterable[str], asked: Mapping[str, Asked]) -> dict[str, Answer]:
    """Return the answers by task or item. Raises :class:`CliError` for what is no answer to anything."""
    found: dict[str, Answer] = {}
    for each in given:
        target, sign, text = each.partition("=")
        if not sign:
            raise CliError(f"--answer {each}: write TASK=Approve, TASK=Reject or TASK.FIELD=VALUE")
        node, dot, name = target.partition(".")
        question = _asked(node, asked)
        action = ActionKind.APPROVE if question.options else ActionKind.COMPLETE
        before = found.get(node, Answer(action=action))
        if dot:
            value = _field(question, each, name, text)
            found[node] = Answer(action=before.action, values={**before.values, name: value})
        else:
            said = _whole(question, node, text, action)
            found[node] = Answer(action=said.action, values={**before.values, **said.values})
    for node, answer in found.items():
        _check(node, answer, _asked(node, asked))
    return found


def answer_to(question: Question, answers: Mapping[str, Answer]) -> Answer | None:
    """Return the answer that was given to a question, None if there is none. One that was refused is a rejection."""
    found = answers.get(question.node, answers.get(task_and_index(question.node)[0]))
    if found is not None and question.refused:
        return Answer(action=ActionKind.REJECT, reason=question.refused)
    return found


def _asked(node: str, asked: Mapping[str, Asked]) -> Asked:
    task = task_and_index(node)[0]
    if task not in asked:
        known = ", ".join(asked) or "none does"
        raise CliError(
            f"--answer {node}: no task called {task!r} waits for an answer{did_you_mean(task, list(asked))}",
            hint=f"those that do: {known}",
        )
    return asked[task]


def _field(question: Asked, given: str, name: str, text: str) -> Any:
    if name not in question.types:
        known = ", ".join(question.types) or "there is none"
        raise CliError(
            f"--answer {given}: no value is called {name!r}{did_you_mean(name, list(question.types))}",
            hint=f"known: {known}",
        )
    return read_value(name, text, question.types[name], "--answer")


def _whole(question: Asked, node: str, text: str, action: ActionKind) -> Answer:
    if question.options:
        if text in question.options:
            return Answer(action=action, values={"option": text})
        if text == _APPROVE:
            return Answer(action=action)
    if text == _REJECT:
        return Answer(action=ActionKind.REJECT)
    if question.options:
        allowed = ", ".join(dict.fromkeys((*question.options, _REJECT)))
        raise CliError(f"--answer {node}={text}: must be one of {allowed}")
    try:
        values = json.loads(text)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise CliError(f"--answer {node}={text}: write its outputs as a JSON object, or {_REJECT}")
    return Answer(action=action, values=values)


def _check(node: str, answer: Answer, asked: Asked) -> None:
    missing = [name for name in asked.required if name not in answer.values]
    if missing and answer.action is ActionKind.APPROVE:
        raise CliError(f"--answer {node}.{missing[0]}=… is missing: the form wants it")


def _types(declared: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    return {each["name"]: each.get("type", "string") for each in declared}
