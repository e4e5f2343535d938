"""Asking something of a run on a cluster: make a WorkflowAction, wait for its answer, and say what it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.text import Text

from fairlead.api.action import check_action
from fairlead.cli.cluster import Cluster, Person, connect
from fairlead.cli.cluster_tree import follow_to_end
from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.terminal import data, say
from fairlead.cli.view import condition
from fairlead.engine.model import ActionKind
from fairlead.kube.resources import WORKFLOWACTIONS, WORKFLOWS

__all__ = ["Question", "ask", "settled"]

_Object = dict[str, Any]

#: Those that depend on the groups of who asks.
_BY_GROUP = frozenset({ActionKind.APPROVE, ActionKind.REJECT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of which run.

    `fields` are of the action's spec; `found` adds those that are read from the run as it is now. With `wait` the run
    is followed to its end, which is a success however it ends where `any_end` is set.
    """

    name: str
    action: ActionKind
    fields: Mapping[str, Any] = field(default_factory=dict)
    found: Callable[[Mapping[str, Any]], Mapping[str, Any]] = lambda _: {}
    reason: str | None = None
    wait: bool = False
    any_end: bool = False
    timeout: int = 30
    namespace: str | None = None
    kubeconfig: Path | None = None
    context: str | None = None


def ask(question: Question) -> int:
    """Ask, and return the exit code. Raises :class:`CliError`, with code 1 when it was refused."""
    return asyncio.run(_ask(question))


async def _ask(question: Question) -> int:
    async with connect(question.kubeconfig, question.context, question.namespace) as cluster:
        workflow = await cluster.read(question.name)
        action = _action(question, workflow, await cluster.who())
        if problems := check_action(action["spec"]):
            raise CliError("; ".join(str(each) for each in problems))
        made = await cluster.create(WORKFLOWACTIONS, action)
        answered = await _answer(cluster, made, question.timeout)
        accepted = condition(answered.get("status") or {}, "Accepted")
        message = accepted.get("message", "")
        if accepted["status"] != "True":
            raise CliError(f"refused: {accepted['reason']}: {message}", ExitCode.FAILED)
        data().print(Text(message or "accepted"), soft_wrap=True)
        if not question.wait:
            return ExitCode.OK
        outcome = await follow_to_end(cluster, await cluster.read(question.name))
        return ExitCode.OK if question.any_end and outcome is ExitCode.FAILED else outcome


def _action(question: Question, workflow: Mapping[str, Any], person: Person) -> _Object:
    metadata = workflow["metadata"]
    by: _Object = {"username": person.username}
    if question.action in _BY_GROUP and person.groups:
        by["groups"] = list(person.groups)
    spec = {
        "workflowName": metadata["name"],
        "workflowUID": metadata["uid"],
        "action": question.action.value,
        **question.fields,
        **question.found(workflow),
        "reason": question.reason,
        "requestedBy": by,
    }
    owner = {
        "apiVersion": WORKFLOWS.api_version,
        "kind": WORKFLOWS.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
    return {
        "apiVersion": WORKFLOWACTIONS.api_version,
        "kind": WORKFLOWACTIONS.kind,
        # Owned by the run from the beginning: so it is collected with it, also where no operator ever answers.
        "metadata": {
            "generateName": f"{metadata['name'][:40]}-{question.action.lower()}-",
            "ownerReferences": [owner],
        },
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


async def _answer(cluster: Cluster, action: _Object, seconds: int) -> _Object:
    """Wait until the operator is through with a request. Raises :class:`CliError` when it does not answer in time."""
    name = action["metadata"]["name"]

    def told(seen: Mapping[str, Any]) -> bool:
        return condition(seen.get("status") or {}, "Accepted").get("status") in ("True", "False")

    found = await settled(cluster, action, told, seconds, resource=WORKFLOWACTIONS)
    if found is None:
        raise CliError(
            f"no operator has answered within {seconds} s; the request stays",
            ExitCode.UNREACHABLE,
            hint=f"to withdraw it: kubectl -n {cluster.namespace} delete workflowaction {name}",
        )
    return found


async def settled(
    cluster: Cluster, seen: _Object, done: Callable[[Mapping[str, Any]], bool], seconds: int, **more: Any
) -> _Object | None:
    """Follow an object until it is `done`. Returns it as it is then, or None when the time is up or it is gone."""
    with say().status("waiting for the operator"):
        try:
            async with asyncio.timeout(seconds), aclosing(cluster.follow_object(seen, **more)) as found:
                async for each in found:
                    if done(each):
                        return each
        except TimeoutError:
            pass
    return None
