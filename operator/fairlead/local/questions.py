"""Tasks that somebody has to answer for: approvals, and waits for a callback.

Whoever runs a workflow here answers for everybody: a task that is restricted to some people is answered in the name of
the first of them. Where the answer comes from (the command line, a terminal) is not decided here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, TypeAlias

from fairlead.clock import utc_now
from fairlead.engine.events import UserAction
from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import ActionKind, Graph, Json, Phase, WorkKind
from fairlead.engine.scopes import scope_of
from fairlead.engine.state import Attempt, NodeState, RunState

__all__ = ["YOU", "Answer", "Answerer", "Question", "Questions", "nobody"]

#: In whose name everything is asked of a run here.
YOU = "you"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a task waits for: `kind` is Approval, or Wait for a callback.

    `run` is the name of its run, `node` that of the task or item. `refused` says why the answer before was none.
    """

    run: str
    node: str
    kind: WorkKind
    message: str = ""
    options: tuple[str, ...] = ()
    form: tuple[Mapping[str, Any], ...] = ()
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What somebody says: Approve, Reject or Complete, with values."""

    action: ActionKind
    values: Mapping[str, Json] = field(default_factory=dict)
    reason: str = ""


#: Gives the answer to a question, however long that takes.
Answerer: TypeAlias = Callable[[Question], Awaitable[Answer]]


async def nobody(question: Question) -> Answer:
    """There is nobody to answer: what waits for an answer is rejected."""
    return Answer(action=ActionKind.REJECT, reason=question.refused or "there is nobody here to answer")


class Questions:
    """The open questions of one run."""

    def __init__(self, answerer: Answerer, tell: Callable[[UserAction], None]) -> None:
        self._answerer = answerer
        self._tell = tell
        self._asking: dict[str, tuple[int, asyncio.Task[None]]] = {}
        self._verdicts: dict[str, asyncio.Future[str]] = {}

    def look(
        self, graph: Graph, run: RunState, names: Iterable[str], group: asyncio.TaskGroup
    ) -> list[asyncio.Task[None]]:
        """Ask what there is to ask about these nodes, and take back what has ended. Returns the tasks that ask."""
        if self._verdicts:
            self._hear(run)
        begun = []
        for name in names:
            state = run.nodes[name]
            attempt = _waiting(state)
            number, task = self._asking.get(name, (0, None))
            if task is not None and (attempt is None or attempt.number != number):
                task.cancel()
            if attempt is not None and attempt.number != number:
                task = group.create_task(self._ask(graph, run, state, attempt), name=f"ask {name}")
                self._asking[name] = (attempt.number, task)
                begun.append(task)
        return begun

    def close(self) -> None:
        """Take back every question."""
        for _, task in self._asking.values():
            task.cancel()

    def _hear(self, run: RunState) -> None:
        for record in run.actions:
            verdict = self._verdicts.pop(record.uid, None)
            if verdict is not None and not verdict.done():
                verdict.set_result("" if record.accepted else record.message)

    async def _ask(self, graph: Graph, run: RunState, state: NodeState, attempt: Attempt) -> None:
        question, users, groups = _question(graph, run, state)
        for turn in count(1):
            answer = await self._answerer(question)
            uid = f"{run.uid}/{attempt.object_name}/{turn}"
            verdict = self._verdicts[uid] = asyncio.get_running_loop().create_future()
            self._tell(
                UserAction(
                    uid=uid,
                    name=f"answer-{turn}",
                    kind=answer.action,
                    created_at=utc_now(),
                    by=users[0] if users else YOU,
                    groups=groups,
                    verified=True,
                    tasks=(state.name,),
                    values=answer.values,
                    reason=answer.reason,
                )
            )
            refused = await verdict
            if not refused:
                return
            question = replace(question, refused=refused)


def _waiting(state: NodeState) -> Attempt | None:
    """Return the attempt of a node that waits for an answer, if there is one."""
    attempt = state.current
    if attempt is None or state.phase is not Phase.RUNNING:
        return None
    kind = state.node.work.kind
    asks = kind is WorkKind.APPROVAL or (kind is WorkKind.WAIT and attempt.heard_at is not None)
    return attempt if asks else None


def _question(graph: Graph, run: RunState, state: NodeState) -> tuple[Question, tuple[str, ...], tuple[str, ...]]:
    """Return what to ask, and who may answer: users and groups."""
    kind = state.node.work.kind
    question = Question(run=run.name, node=state.name, kind=kind)
    if kind is not WorkKind.APPROVAL:
        return question, (), ()
    try:
        work = state.node.work.evaluate(scope_of(graph, run, state))
    except ExpressionError as error:
        return replace(question, message=error.message), (), ()
    asked = replace(question, message=work["message"], options=tuple(work["options"]), form=tuple(work["form"]))
    return asked, tuple(work["users"]), tuple(work["groups"])
