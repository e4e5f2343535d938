"""Tasks that need no pod: waits, approvals and requests, from their start to their end.

None of them has an object in the cluster, so the record in the status is all there is. A time that is waited for and a
person's answer are the engine's own business; what has to be looked at or sent is carried out by the shell, which is
asked for that only once the start is on record: a request that a crash has interrupted is then known to have been
possibly sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from fairlead.engine.commands import StartAttempt
from fairlead.engine.ends import conclude, outcome_of_ending
from fairlead.engine.expressions import ExpressionError
from fairlead.engine.model import Json, Phase, WorkKind
from fairlead.engine.names import attempt_name
from fairlead.engine.passes import Pass, arm, end_node
from fairlead.engine.state import Attempt, NodeState, Outcome, Result, Unsent
from fairlead.engine.transitions import move
from fairlead.engine.wording import shorten, timestamp

__all__ = ["answer", "begin", "is_due", "send", "time_out"]


def begin(p: Pass, state: NodeState, work: Mapping[str, Json]) -> None:
    """Begin an attempt of a kind without an object; it runs from that moment on."""
    due_at = None
    if state.node.work.kind is WorkKind.WAIT:
        try:
            due_at = _due(work, p.now)
        except ValueError:
            message = f"wait.until must be a time such as 2026-01-31T08:00:00Z, it is {work['until']!r}"
            end_node(p, state, Phase.FAILED, reason="ExpressionError", message=message)
            return
    number = len(state.attempts) + 1
    attempt = Attempt(
        number=number,
        object_name=attempt_name(p.run.name, p.run.uid, state.name, number),
        created=True,
        started_at=p.now,
        running_at=p.now,
        due_at=due_at,
        heard_at=p.now if work.get("callback") else None,
        message=shorten(work.get("message") or ""),  # what somebody is asked; its end says something else
        epoch=p.run.epoch,
        iteration=state.iteration,
    )
    state.attempts.append(attempt)
    state.started_at = state.started_at or p.now
    state.queued_at = None
    move(p.run, state, Phase.STARTING)
    move(p.run, state, Phase.RUNNING)
    if due_at is not None:
        arm(p.run, state.name, due_at)
    elif state.node.work.kind is WorkKind.HTTP or work.get("condition") is not None:
        p.run.unsent[state.name, number] = Unsent(p.run.revision)
    arm(p.run, state.name, p.now)  # its other clocks


def _due(work: Mapping[str, Json], now: datetime) -> datetime | None:
    """Return when a wait for a time is over, None for one that waits for something else. Raises ValueError."""
    if work.get("seconds") is not None:
        return now + timedelta(seconds=work["seconds"])
    if work.get("until") is not None:
        until = datetime.fromisoformat(work["until"])
        return until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    return None


def send(p: Pass) -> None:
    """Ask for the attempts whose start is on record by now to be carried out."""
    run = p.run
    due = [key for key, unsent in run.unsent.items() if unsent.revision <= run.recorded_revision]
    for name, number in due:
        unsent = run.unsent.pop((name, number))
        state = run.nodes[name]
        attempt = state.attempts[number - 1]
        if attempt.finished_at is not None:
            continue
        try:
            work = state.node.work.evaluate(p.scope(state))
        except ExpressionError as error:
            # It could be evaluated a moment ago, from facts that do not change.
            outcome = Outcome(result=Result.FAILED, finished_at=p.now, reason="ExpressionError", message=error.message)
            conclude(p, state, attempt, outcome)
            continue
        p.commands.append(
            StartAttempt(
                node=name,
                number=number,
                object_name=attempt.object_name,
                kind=state.node.work.kind,
                work=work,
                index=state.index,
                iteration=attempt.iteration,
                resumed=unsent.resumed,
            )
        )


def is_due(attempt: Attempt, now: datetime) -> bool:
    """Tell whether the time that an attempt waits for has come."""
    return attempt.due_at is not None and attempt.due_at <= now


def answer(p: Pass, state: NodeState, attempt: Attempt, values: Mapping[str, Json]) -> None:
    """End an attempt well, with these outputs."""
    outcome = Outcome(result=Result.SUCCEEDED, finished_at=p.now, values=values)
    conclude(p, state, attempt, outcome)


def time_out(p: Pass, state: NodeState, attempt: Attempt) -> None:
    """Nobody has answered in time: the approval takes its default."""
    try:
        work = state.node.work.evaluate(p.scope(state))
    except ExpressionError:
        work = {}
    if work.get("onTimeout") == "Approve":
        options = work.get("options") or ["Approve"]
        answer(p, state, attempt, {"option": options[0], "by": "", "at": timestamp(p.now)})
    else:
        attempt.ending = "ApprovalTimeout"
        conclude(p, state, attempt, outcome_of_ending("ApprovalTimeout", p.now))
