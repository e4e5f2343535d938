"""Taking in one fact about an attempt: the only place where what was observed changes the state of a node.

Facts may come twice, late, or before the state knows the attempt (a controller that starts afresh). Each function
leaves the state as if the facts had come once and in order.

What a user asks for is no fact about an attempt: see `actions.py`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from fairlead.engine import clocks
from fairlead.engine.commands import EndAttempt, ReleaseAttempt
from fairlead.engine.endings import ENDINGS, LOST
from fairlead.engine.ends import conclude, end_attempt, keep_until_recorded, outcome_of_ending, record_end, release
from fairlead.engine.events import AttemptGone, AttemptSeen, Event, StartRefused, StatusRecorded, UserAction
from fairlead.engine.model import OBJECT_KINDS, TERMINAL, FailureClass, Phase
from fairlead.engine.names import attempt_name, task_and_index
from fairlead.engine.passes import Pass, end_node, enqueue, give_back
from fairlead.engine.retry import most_attempts
from fairlead.engine.state import Attempt, NodeRecord, NodeState, Outcome, Result, RunState, Superseded
from fairlead.engine.transitions import move, path_to_starting
from fairlead.engine.wording import shorten

__all__ = ["SUPERSEDED", "dispose_of_strays", "observe", "take_in_strays"]

#: The reason of an attempt that must not count: its node had ended when it was begun.
SUPERSEDED = "Superseded"


def observe(p: Pass, event: Event) -> None:
    """Take in one fact."""
    match event:
        case AttemptSeen():
            _attempt_seen(p, event)
        case AttemptGone():
            _attempt_gone(p, event)
        case StartRefused():
            _start_refused(p, event)
        case StatusRecorded():
            _status_recorded(p, event)
        case UserAction():
            raise TypeError("what users ask for is applied by `actions.py`")


def take_in_strays(p: Pass, state: NodeState) -> None:
    """Take in what was seen of a task's items before its list was known: a controller that starts afresh sees all."""
    for seen in p.run.strays.pop(state.name, {}).values():
        _attempt_seen(p, seen)


def _attempt_seen(p: Pass, seen: AttemptSeen) -> None:
    state = p.run.nodes.get(seen.node)
    if state is None:
        _keep_stray(p, seen)
        return
    if not _is_ours(p.run, state, seen):
        return
    attempt = _known(state, seen.number)
    if attempt is None:
        if state.phase in TERMINAL:
            # Another controller's, that came too late. It does not count, but the numbers of a later epoch go on.
            p.run.touch(state)
            state.attempts.extend(_superseded(p, len(state.attempts), seen))
            _dispose_once_recorded(p, state, seen, p.run.revision)
            return
        attempt = _adopt(p, state, seen)
    if not attempt.created:
        p.run.touch(state)
        p.run.hold_until = None
        state.queued_at = state.refused = None
    attempt.created, attempt.held = True, seen.held
    if state.node.work.kind in OBJECT_KINDS:
        attempt.started_at = seen.started_at
        state.started_at = min(state.started_at or seen.started_at, seen.started_at)
    if attempt.finished_at is not None:
        if attempt.reason == LOST and seen.outcome is not None:
            record_end(p, state, attempt, seen.outcome)
        elif attempt.reason == SUPERSEDED:
            _dispose_once_recorded(p, state, seen, attempt.revision)
        else:
            # Its end is known already. Seen again after a crash between recording and releasing: release it now.
            keep_until_recorded(p, state, attempt)
        return
    _update(p, attempt, seen)
    if attempt is state.attempts[-1]:
        _follow(p, state, attempt, seen)
    elif seen.outcome is not None:
        record_end(p, state, attempt, seen.outcome)


def dispose_of_strays(p: Pass, state: NodeState) -> None:
    """End and release what was seen of a task's items, since it has ended without a list."""
    for seen in p.run.strays.pop(state.name, {}).values():
        _dispose_of_item(p, state, seen)


def _dispose_of_item(p: Pass, task: NodeState, seen: AttemptSeen) -> None:
    """End or release the object of an item that its task does not have, and keep on record that there was one.

    In a later epoch there may be such an item, and the numbers of its attempts go on.
    """
    _, index = task_and_index(seen.node)
    if index is None:
        _dispose_of_stray(p, task, seen)
        return
    past = task.past.get(index) or NodeRecord(name=seen.node, phase=Phase.WAITING)
    known, revision = len(past.attempts), 0
    if known < seen.number <= known + most_attempts(task.node):
        p.run.touch(task)
        task.past[index] = replace(past, attempts=(*past.attempts, *_superseded(p, known, seen)))
        revision = p.run.revision
    _dispose_once_recorded(p, task, seen, revision)


def _superseded(p: Pass, known: int, seen: AttemptSeen) -> list[Attempt]:
    """Return what is put on record of an attempt that must not count, and of those before it that nobody knows of."""
    at = seen.started_at if seen.outcome is None else seen.outcome.finished_at
    return [
        Attempt(
            number=number,
            object_name=attempt_name(p.run.name, p.run.uid, seen.node, number),
            created=True,
            started_at=seen.started_at,
            finished_at=at,
            reason=SUPERSEDED,
            revision=p.run.revision,
            epoch=p.run.epoch,
        )
        for number in range(known + 1, seen.number + 1)
    ]


def _keep_stray(p: Pass, seen: AttemptSeen) -> None:
    """Keep what was seen of an item whose task has no list yet, the newest of each object."""
    run = p.run
    task = run.nodes.get(seen.node.partition("[")[0])
    if task is None or task.node.for_each is None or task.items is not None:
        return
    if seen.object_name != attempt_name(run.name, run.uid, seen.node, seen.number):
        return
    if task.is_over:
        _dispose_of_item(p, task, seen)
        return
    strays = run.strays.setdefault(task.name, {})
    if len(strays) < task.node.for_each.limit:  # anybody can make pods with our labels
        strays[seen.object_name] = seen


def _is_ours(run: RunState, state: NodeState, seen: AttemptSeen) -> bool:
    """Tell whether an object has the name of the attempt it claims to be; anybody can put labels on a pod."""
    if state.parent is None and state.node.for_each is not None:
        return False  # its items have objects, the task itself has none
    # A gap wider than the budgets was not left by us. Filling it would cost as much as its author likes.
    if not 1 <= seen.number <= len(state.attempts) + most_attempts(state.node):
        return False
    attempt = _known(state, seen.number)
    if attempt is not None:
        return seen.object_name == attempt.object_name
    if state.node.work.kind not in OBJECT_KINDS:
        return False  # there is no object to learn of it from
    return seen.object_name == attempt_name(run.name, run.uid, seen.node, seen.number)


def _update(p: Pass, attempt: Attempt, seen: AttemptSeen) -> None:
    """Take over what is told about a live attempt. A fact that comes late takes nothing back."""
    if seen.node_name and seen.node_name != attempt.node_name:
        attempt.node_name = seen.node_name
        p.run.touch(p.run.nodes[seen.node])
    if seen.running_at is not None and attempt.running_at is None:
        attempt.running_at = seen.running_at
        p.run.touch(p.run.nodes[seen.node])
    attempt.main_ended_at = seen.main_ended_at or attempt.main_ended_at
    attempt.ending = seen.ending or attempt.ending
    attempt.deleting_at = seen.deleting_at if seen.outcome is None else None
    attempt.stuck_since = seen.stuck_since if attempt.running_at is None else None
    attempt.stuck = seen.reason if attempt.stuck_since is not None else ""


def _follow(p: Pass, state: NodeState, attempt: Attempt, seen: AttemptSeen) -> None:
    """Draw the conclusions for the node from how its latest attempt stands."""
    if attempt.running_at is not None and state.phase is Phase.STARTING:
        move(p.run, state, Phase.RUNNING)
    message = shorten(seen.message)
    if (seen.reason, message) != (state.reason, state.message) and state.reason != "WaitingForNode":
        state.reason, state.message = seen.reason, message
        p.run.touch(state)
    if attempt.stuck_since is not None:
        attempt.message = message  # for its end, when nothing tells the cause any more
    if seen.outcome is not None:
        conclude(p, state, attempt, seen.outcome)
    elif attempt.ending and not seen.deleting:
        # Asked for before it existed, or by a controller that crashed before the delete.
        end_attempt(p, state, attempt, attempt.ending)
    elif not attempt.ending or attempt.deleting_at is not None:
        clocks.watch(p, state, attempt)


def _known(state: NodeState, number: int) -> Attempt | None:
    # Numbers are positions, counted from 1: `_adopt` fills gaps, so this is no search.
    if 1 <= number <= len(state.attempts):
        return state.attempts[number - 1]
    return None


def _adopt(p: Pass, state: NodeState, seen: AttemptSeen) -> Attempt:
    """Make room for an attempt that some controller started and this state does not know."""
    for number in range(len(state.attempts) + 1, seen.number):
        state.attempts.append(
            Attempt(
                number=number,
                object_name=attempt_name(p.run.name, p.run.uid, state.name, number),
                finished_at=seen.started_at,
                failure_class=FailureClass.INFRASTRUCTURE,
                reason=LOST,
                message="the object of this attempt vanished before its end was recorded",
                epoch=p.run.epoch,
            )
        )
    attempt = Attempt(number=seen.number, object_name=seen.object_name, epoch=p.run.epoch, iteration=state.iteration)
    state.attempts.append(attempt)
    for phase in path_to_starting(state.phase):
        move(p.run, state, phase)
    state.not_before = state.queued_at = None
    return attempt


def _dispose_once_recorded(p: Pass, state: NodeState, seen: AttemptSeen, revision: int) -> None:
    """Dispose of the object of an attempt that must not count, when the status that says so is persisted.

    It may be of an epoch that another controller has begun and that we have not heard of: our status is then not the
    newest one, and is not accepted.
    """
    key = (seen.node, seen.number)
    if key in p.run.superseded:
        revision = p.run.superseded[key].revision
    if revision <= p.run.recorded_revision:
        p.run.superseded.pop(key, None)
        _dispose_of_stray(p, state, seen)
    else:
        p.run.superseded[key] = Superseded(revision, seen)


def _dispose_of_stray(p: Pass, state: NodeState, seen: AttemptSeen) -> None:
    """End or release the object of an attempt that must not count: its node is over."""
    kind = state.node.work.kind
    if seen.outcome is None:
        if not seen.deleting:
            p.commands.append(
                EndAttempt(
                    node=seen.node, number=seen.number, object_name=seen.object_name, kind=kind, reason=SUPERSEDED
                )
            )
    elif seen.held:
        p.commands.append(ReleaseAttempt(node=seen.node, number=seen.number, object_name=seen.object_name, kind=kind))


def _attempt_gone(p: Pass, gone: AttemptGone) -> None:
    state = p.run.nodes.get(gone.node)
    attempt = None if state is None else _known(state, gone.number)
    if state is None or attempt is None:
        return
    attempt.held = False
    if attempt.finished_at is not None:
        keep_until_recorded(p, state, attempt)
        return
    if not attempt.created:
        # It came and went between two looks, and nothing is known of it: it is asked for again, by the same name.
        _start_refused(p, StartRefused(node=gone.node, number=gone.number, reason="", message="", retry_at=p.now))
        return
    outcome = _outcome_of_gone(attempt, gone.seen_at)
    if attempt is state.attempts[-1]:
        conclude(p, state, attempt, outcome)
    else:
        record_end(p, state, attempt, outcome)


def _outcome_of_gone(attempt: Attempt, at: datetime) -> Outcome:
    if attempt.ending in ENDINGS:
        return outcome_of_ending(attempt.ending, at)
    return Outcome(
        result=Result.FAILED,
        failure_class=FailureClass.INFRASTRUCTURE,
        reason="ObjectGone",
        message=f"{attempt.object_name} was removed by somebody else before its end was seen",
        finished_at=at,
    )


def _start_refused(p: Pass, refused: StartRefused) -> None:
    state = p.run.nodes.get(refused.node)
    attempt = None if state is None else _known(state, refused.number)
    if state is None or attempt is None or attempt is not state.attempts[-1]:
        return
    if attempt.created or attempt.finished_at is not None:
        return
    ending = attempt.ending or (p.run.stopping if p.stops(state) else "")
    if p.run.hold_until is not None:
        p.run.hold_until = p.now  # answered: whatever the answer was, another may ask
    if refused.retry_at is None and not ending:
        outcome = Outcome(
            result=Result.FAILED,
            failure_class=refused.failure_class,
            reason=refused.reason,
            message=refused.message,
            finished_at=p.now,
        )
        conclude(p, state, attempt, outcome)
        return
    state.attempts.pop()  # nothing was created, so there was no attempt
    if ending:
        end_node(p, state, Phase.FAILED if ENDINGS.get(ending) else Phase.CANCELLED, reason=ending)
        return
    state.not_before = refused.retry_at
    if refused.retry_at is not None and refused.retry_at > p.now:
        # What keeps one from starting keeps the others, too: one of them asks again, then.
        p.run.hold_until = refused.retry_at
    enqueue(p, state)
    give_back(p.run, state)
    state.refused = refused.reason, shorten(refused.message)
    state.reason, state.message = state.refused


def _status_recorded(p: Pass, recorded: StatusRecorded) -> None:
    run = p.run
    run.recorded_revision = max(run.recorded_revision, recorded.revision)
    for stray in [each for each in run.superseded.values() if each.revision <= run.recorded_revision]:
        _dispose_once_recorded(p, run.nodes[stray.seen.node.partition("[")[0]], stray.seen, stray.revision)
    for name, number in list(run.unreleased):
        state = run.nodes[name]
        attempt = state.attempts[number - 1]
        if attempt.revision > run.recorded_revision:
            break  # in the order in which they ended: the rest is later still
        del run.unreleased[name, number]
        if attempt.held:
            p.commands.append(release(state, attempt))
