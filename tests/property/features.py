"""Which features of the product a scenario has used: what a large number of scenarios has to cover."""

from __future__ import annotations

from collections.abc import Iterator

from tests.property.player import Player
from tests.property.scenarios import Again, Scenario
from tests.property.script import Broken, Ended, Fixed, Odd, Reached, Task, Upto, Wait, Way

from fairlead.engine.model import Phase, StopMode, TriggerRule, WorkKind

#: How many of 20,000 scenarios have to use each feature.
LEAST = 100

FEATURES: tuple[str, ...] = (
    *(f"trigger {rule.value}" for rule in TriggerRule),
    *(f"kind {kind.value}" for kind in WorkKind),
    *(f"wait {wait.value}" for wait in Wait),
    "when", "when on a phase", "when on outputs", "when broken", "outputs read", "priority", "parallelism",
    "onFailure Continue", "Continue after a failure", "handles", "handled failure",
    "finally", "finally needs", "finally trigger", "finally required", "finally required failed", "run.summary",
    "finallyDeadlineSeconds",
    "forEach", "forEach empty", "forEach from outputs", "forEach when", "forEach maxParallel", "forEach tolerate count",
    "forEach tolerate percent", "forEach over tolerance", "forEach failure tolerated", "forEach batchSize",
    "forEach too many", "forEach in finally", "forEach of a kind without a pod", "overrides",
    "repeat", "repeat until", "repeat maxIterations", "repeat of items", "repeat delaySeconds",
    "retry User", "retry Infrastructure", "retry Timeout", "no retry Configuration", "no retry Timeout",
    "rule exitCodes", "rule reasons", "rule when", "rule limit", "rule resources", "skipExitCodes",
    "timeoutSeconds", "startTimeoutSeconds", "deadlineSeconds of a task", "queueTimeoutSeconds", "image pull",
    "heartbeat", "outputs missing", "outputs invalid", "outputs by default", "ExpressionError",
    "approval approved", "approval rejected", "approval timed out: Approve", "approval timed out: Reject",
    *(f"stop {mode.value}" for mode in StopMode),
    "run deadline", "suspend", "crash", "crash of a large run", "action refused", "limits changed",
    "object removed by others", "outputs of a run",
    *(again.value for again in Again),
    *(f"Mark of a run: {phase.value}" for phase in (Phase.SUCCEEDED, Phase.FAILED, Phase.SKIPPED)),
    "Mark while it runs", "more than two epochs",
)  # fmt: skip


def features_of(of: Scenario, player: Player) -> set[str]:
    """Return what a scenario has used, now that it was played. What had no effect does not count, where that shows."""
    found = set(player.seen)
    for task in of.tasks:
        found.update(_of_task(task))
        found.update(_of_items(task, player))
        found.update(_of_repeat(task, player))
    for name, state in player.run.nodes.items():
        task = player.tasks[name.partition("[")[0]]
        found.update(_of_end(task, state.phase, state.reason))
        found.update(_of_attempts(task, name, player))
    if of.parallelism is not None:
        found.add("parallelism")
    if of.limits:
        found.add("overrides")
    if player.run.outputs:
        found.add("outputs of a run")
    if of.marks:
        found.add("Mark while it runs")
    if player.watch.stopped is not None and player.run.epoch == 1 and player.run.stop_mode is not None:
        found.add(f"stop {player.run.stop_mode.value}")
    if player.stopping == "RunDeadlineExceeded":
        found.add("run deadline")
    if player.run.epoch > 2:
        found.add("more than two epochs")
    failed = any(player.run.nodes[t.name].phase is Phase.FAILED and not t.proceeds and not t.final for t in of.tasks)
    if failed and player.run.outcome is not None and player.run.outcome.succeeded:
        found.add("handled failure")
    return found & set(FEATURES)


def _of_task(task: Task) -> Iterator[str]:
    if task.needs:
        yield f"trigger {task.trigger.value}"
    yield f"kind {task.kind.value}"
    if task.wait is not None:
        yield f"wait {task.wait.value}"
    if task.when is not None:
        yield "when"
    if isinstance(task.when, Ended):
        yield "when on a phase"
    if isinstance(task.when, Odd) and task.when.of.of:
        yield "when on outputs"
    if isinstance(task.when, Broken) or (isinstance(task.when, Fixed) and not isinstance(task.when.value, bool)):
        yield "when broken"
    if getattr(task.value, "of", ()):
        yield "outputs read"
    for name, used in {
        "priority": task.priority,
        "onFailure Continue": task.proceeds,
        "handles": task.handles,
        "finally": task.final,
        "finally needs": task.final and task.needs,
        "finally trigger": task.final and task.needs and task.trigger is not TriggerRule.ALL_SUCCEEDED,
        "finally required": task.required,
        "run.summary": type(task.value).__name__ == "Tally",
        "forEach in finally": task.each is not None and task.final,
        "forEach of a kind without a pod": task.each is not None
        and task.kind in (WorkKind.WAIT, WorkKind.APPROVAL, WorkKind.SET, WorkKind.HTTP),
    }.items():
        if used:
            yield name


def _of_items(task: Task, player: Player) -> Iterator[str]:
    if task.each is None:
        return
    yield "forEach"
    each, state = task.each, player.run.nodes[task.name]
    if isinstance(each.items, Upto) and each.items.of.of:
        yield "forEach from outputs"
    if state.items is None:
        return
    for name, used in {
        "forEach when": each.when,
        "forEach maxParallel": each.max_parallel,
        "forEach tolerate count": each.count,
        "forEach tolerate percent": each.percent,
        "forEach batchSize": each.batch_size,
        "forEach over tolerance": state.reason == "ItemsFailed",
        "forEach failure tolerated": state.phase is Phase.SUCCEEDED
        and any(item.phase is Phase.FAILED for item in state.items.states),
    }.items():
        if used:
            yield name


def _of_repeat(task: Task, player: Player) -> Iterator[str]:
    if task.repeat is None:
        return
    rounds = max(
        (
            attempt.iteration
            for state in player.run.nodes.values()
            if state.node.name == task.name
            for attempt in state.attempts
        ),
        default=0,
    )
    if rounds < 2:
        return
    yield "repeat"
    if isinstance(task.repeat.until, Reached):
        yield "repeat until"
    if task.each is not None:
        yield "repeat of items"
    if task.repeat.delay:
        yield "repeat delaySeconds"


_ENDS = {
    "MaxIterations": "repeat maxIterations",
    "NoItems": "forEach empty",
    "TooManyItems": "forEach too many",
    "SkipExitCode": "skipExitCodes",
    "QueueTimeout": "queueTimeoutSeconds",
    "DeadlineExceeded": "deadlineSeconds of a task",
    "FinallyDeadlineExceeded": "finallyDeadlineSeconds",
    "OutputMissing": "outputs missing",
    "OutputInvalid": "outputs invalid",
    "ExpressionError": "ExpressionError",
    "Rejected": "approval rejected",
    "ApprovalTimeout": "approval timed out: Reject",
}

_ATTEMPTS = {
    "TimedOut": "timeoutSeconds",
    "StartTimeout": "startTimeoutSeconds",
    "ImagePull": "image pull",
    "HeartbeatTimeout": "heartbeat",
}


def _of_end(task: Task, phase: Phase, reason: str) -> Iterator[str]:
    if reason in _ENDS and not (reason == "Rejected" and task.kind is not WorkKind.APPROVAL):
        yield _ENDS[reason]
    if phase is Phase.FAILED and task.proceeds:
        yield "Continue after a failure"
    if phase is Phase.FAILED and task.required:
        yield "finally required failed"


def _of_attempts(task: Task, name: str, player: Player) -> Iterator[str]:
    state = player.run.nodes[name]
    for attempt in state.attempts:
        class_ = attempt.failure_class
        if attempt.reason in _ATTEMPTS:
            yield _ATTEMPTS[attempt.reason]
        if class_ is not None:
            last = attempt is state.attempts[-1]
            yield f"{'no ' * last}retry {class_.value}"
            for rule in task.rules:
                if attempt.exit_code in rule.exit_codes:
                    yield "rule exitCodes"
                if attempt.reason in rule.reasons:
                    yield "rule reasons"
                if rule.when is not None:
                    yield "rule when"
                if rule.limit is not None:
                    yield "rule limit"
                if rule.resources is not None and not last:
                    yield "rule resources"
        elif task.kind is WorkKind.APPROVAL and attempt.finished_at is not None and not attempt.reason:
            end = player.end_of(name, attempt.number)
            yield "approval timed out: Approve" if end.way is Way.LAPSES else "approval approved"
    if task.declared.get("x") == state.outputs.get("x") == 7:
        yield "outputs by default"
