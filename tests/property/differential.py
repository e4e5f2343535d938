"""The engine against the reference interpreter, on random scenarios: `make differential N=20000`.

Each is played to its end and through all its epochs (`player.py`); what is determined of the result must be what
`reference.py` makes of the script. A scenario is known by its seed: `python -m tests.property.differential --seed 7`
shows it, and what is wrong with it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import replace

from tests.property import again
from tests.property.features import FEATURES, LEAST, features_of
from tests.property.memory import small_shards
from tests.property.player import Player, mark_values
from tests.property.reference import (
    Story,
    Told,
    interpret,
    or_defaults,
    succeeds,
)
from tests.property.scenarios import Again, Epoch, Scenario, scenario
from tests.property.script import End, Task, Unable
from tests.property.watching import Disagreement

from fairlead.engine.model import ActionKind, Phase, WorkKind
from fairlead.engine.state import NodeState

_SHOWN = 10

#: More than any scenario has of attempts and items.
_MOST_ATTEMPTS, _MOST_ITEMS = 60, 8


def differences(of: Scenario) -> tuple[list[str], Collection[str]]:
    """Play a scenario; return where the engine differs from the reference, and which features it has used."""
    with small_shards():
        player = Player(of)
        return compare_to_the_end(player), features_of(of, player)


def compare_to_the_end(player: Player) -> list[str]:
    """Play what is left of a scenario; return where the engine differs from the reference."""
    try:
        player.play()
        tasks = _effective(player)
        expected = interpret(tasks, kept=_marked(player, tasks), seen=_seen(player))
        found = [*_compare(player, expected)]
        story = past = _told(player, expected)
        for epoch in player.scenario.epochs:
            if found:
                break
            expected = _again(player, epoch, story, past)
            found = [f"epoch {player.run.epoch}: {each}" for each in _compare(player, expected)]
            story = _told(player, expected)
            past = {**past, **story}
    except Disagreement as error:
        return [str(error)]
    except Exception as error:  # an engine that breaks does not agree
        return [f"{type(error).__name__}: {error}"]
    return found


def _effective(player: Player) -> list[Task]:
    """Return the tasks with what `spec.overrides` makes of them, and with the attempts that others have ended."""
    tasks = []
    for task in player.scenario.tasks:
        limits = player.scenario.limits.get(task.name)
        each = task.each
        if limits is not None and each is not None and (limits.count is not None or limits.percent is not None):
            each = replace(each, count=limits.count, percent=limits.percent)
        tasks.append(_with_thefts(player, replace(task, each=each)))
    return tasks


def _with_thefts(player: Player, task: Task) -> Task:
    """Return a task whose attempts end as others have ended them, where somebody has."""
    ended = {
        (state.index, number): end
        for (name, number), end in player.by_others().items()
        if (state := player.run.nodes.get(name)) is not None and state.node.name == task.name
    }
    if not ended:
        return task

    def ends(index: int | None) -> list[End]:
        return [ended.get((index, number)) or task.end(index, number) for number in range(1, _MOST_ATTEMPTS)]

    if task.each is None:
        return replace(task, ends=ends(None))
    return replace(task, item_ends=[ends(index) for index in range(_MOST_ITEMS * max(1, len(task.item_ends)))])


def _marked(player: Player, tasks: list[Task]) -> Story:
    """Return what is known beforehand: tasks that were marked before they could begin."""
    accepted = any(record is not None and record.accepted for record in map(player.answer_to, player.marks))
    marks = player.scenario.marks if accepted else {}
    return {name: _mark(player, _task(tasks, name), phase, Told(Phase.WAITING)) for name, phase in marks.items()}


def _mark(player: Player, task: Task, phase: Phase, past: Told, name: str = "") -> Told:
    outputs = {"x": 5} if phase is Phase.SUCCEEDED and task.declared else {}
    told = replace(past, phase=phase, reason="Marked", outputs=outputs, loose=False)
    if task.each is None:
        return or_defaults(task, told)
    # What somebody puts in the place of a list's outputs is up to them.
    return told if "[" in name else replace(told, outputs=_actual(player, task.name, past).outputs)


def _again(player: Player, epoch: Epoch, story: Story, past: Story) -> Story:
    """Begin another epoch, play it, and return what it should come to: `story` is the end of the one before."""
    tasks = _effective(player)
    player.settings = replace(player.settings, deadline_seconds=None)
    name = _picked(epoch, tasks, story)
    if name is None:
        return story
    number, finished = player.run.epoch, player.run.outcome
    assert finished is not None
    refused = False
    match epoch.again:
        case Again.RETRY:
            refused = finished.succeeded
            uid = player.ask(ActionKind.RETRY)
        case Again.RETRY_ONE:
            refused = finished.succeeded or story[name].phase in (Phase.SUCCEEDED, Phase.SKIPPED)
            uid = player.ask(ActionKind.RETRY, name)
        case Again.CLEAR | Again.CLEAR_ITEM:
            uid = player.ask(ActionKind.CLEAR, name)
        case Again.MARK | Again.MARK_ITEM:
            values = mark_values(epoch.phase, _task(tasks, name), name)
            uid = player.ask(ActionKind.MARK, name, phase=epoch.phase, values=values)
    while (record := player.answer_to(uid)) is None:
        player.step()
    if record.accepted is refused or player.run.epoch != number + (not refused):
        raise Disagreement(f"{record.action.value}: {record.reason}: {record.message}; epoch {player.run.epoch}")
    player.play()
    if refused:
        return story
    player.seen.add(epoch.again.value)
    if epoch.again in (Again.MARK, Again.MARK_ITEM):
        player.seen.add(f"Mark of a run: {epoch.phase.value}")
    tasks = _effective(player)
    kept, before = _known_of(player, epoch, tasks, name, story, past)
    return interpret(tasks, kept=kept, before=before, seen=_seen(player))


def _picked(epoch: Epoch, tasks: list[Task], story: Story) -> str | None:
    """Return which task or item a request is about; None where there is none."""
    main = [task.name for task in tasks if not task.final]
    if epoch.again in (Again.CLEAR_ITEM, Again.MARK_ITEM):
        main = [name for name in story if "[" in name and name.partition("[")[0] in main]
    return main[epoch.pick % len(main)] if main else None


def _known_of(player: Player, epoch: Epoch, tasks: list[Task], name: str, story: Story, past: Story) -> again.Past:
    match epoch.again:
        case Again.RETRY:
            return again.retry(tasks, story, past)
        case Again.RETRY_ONE:
            return again.retry_one(tasks, story, past, name)
        case Again.CLEAR | Again.CLEAR_ITEM:
            return again.clear(tasks, story, past, name)
        case Again.MARK | Again.MARK_ITEM:
            told = _mark(player, _task(tasks, name), epoch.phase, story[name], name)
            return again.mark(tasks, story, past, name, told)


# What is compared.

#: Why tasks of a run are cancelled as a whole, and the reason that the run is given then.
_STOPS = {
    "Stopped": "Stopped",
    "Cancelled": "Cancelled",
    "Terminated": "Terminated",
    "RunDeadlineExceeded": "DeadlineExceeded",
}


def _compare(player: Player, expected: Story) -> Iterator[str]:
    run, tasks = player.run, _effective(player)
    cut = {name for name, state in run.nodes.items() if state.phase is Phase.CANCELLED and state.reason in _STOPS}
    stopped = bool(cut) and run.epoch == 1
    final = {task.name for task in tasks if task.final}
    for name, told in expected.items():
        if name.partition("[")[0] not in final:
            yield from _compare_node(player, expected, name, told, stopped=stopped)
    if stopped:
        # What `finally` sees is how the others have really ended.
        known = {name: told for name, told in _told(player, expected).items() if name.partition("[")[0] not in final}
        expected = interpret(tasks, kept=known, stopped=player.stopping, seen=_seen(player))
    ended_by_deadline = player.scenario.final_deadline is not None and tasks[-1].name in final
    for name, told in expected.items():
        if name.partition("[")[0] in final and not (ended_by_deadline and name == tasks[-1].name):
            yield from _compare_node(player, expected, name, told, stopped=bool(cut & {name, name.partition("[")[0]}))
    if ended_by_deadline:
        yield from _compare_cut_off(player, tasks[-1].name)
        expected = {**expected, tasks[-1].name: Told(player.run.nodes[tasks[-1].name].phase)}
    yield from _compare_outcome(player, tasks, expected, stopped=stopped and bool(cut & {*player.tasks}))
    for name, state in run.nodes.items():
        if not state.is_over and (name in expected or "[" not in name):
            yield f"{name} is {state.phase.value} in a run that is over"


def _compare_cut_off(player: Player, name: str) -> Iterator[str]:
    state = player.run.nodes[name]
    others = player.by_others()
    if state.phase is Phase.FAILED and all((name, each.number) in others for each in state.attempts):
        return  # its budget was used up by others before that
    if state.phase is not Phase.CANCELLED or state.reason != "FinallyDeadlineExceeded":
        yield f"{name} outlasted `finally` and is {state.phase.value}: {state.reason}"


def _compare_outcome(player: Player, tasks: list[Task], expected: Story, *, stopped: bool) -> Iterator[str]:
    outcome = player.run.outcome
    assert outcome is not None
    if stopped:
        reason = _STOPS[player.stopping]
        by_user = player.stopping != "RunDeadlineExceeded"
        if outcome.succeeded or outcome.reason != reason or outcome.cancelled is not by_user:
            yield f"the run has ended {outcome}, it should have been stopped: {reason}"
        return
    outputs = _outputs_of_run(player, expected) if succeeds(tasks, expected) else None
    # In a later epoch, tasks may still be cancelled by the stop of an earlier one.
    if outcome.succeeded is (outputs is None) or (outcome.cancelled and player.run.epoch == 1):
        yield f"the run has ended {outcome}, it should have {'failed' if outputs is None else 'succeeded'}"
    elif player.run.outputs != (outputs or {}):
        yield f"the run put out {player.run.outputs}, not {outputs}"


def _outputs_of_run(player: Player, expected: Story) -> dict[str, int] | None:
    """Return what the run should put out; None where that cannot be computed, and so the run fails."""
    if player.scenario.result is None:
        return {}
    try:
        tasks = {name: {"outputs": told.outputs} for name, told in expected.items()}
        return {"x": player.scenario.result({"tasks": tasks})}
    except Unable:
        return None


def _compare_node(player: Player, expected: Story, name: str, told: Told, *, stopped: bool) -> Iterator[str]:
    state = player.run.nodes.get(name)
    task = name.partition("[")[0]
    if state is None:
        if not (stopped and player.run.nodes[task].phase is Phase.CANCELLED):
            yield f"{name} should be {told.phase.value} and does not exist"
        return
    loose = "[" in name and expected[task].loose
    if state.phase is Phase.CANCELLED and (stopped or loose):
        return
    actual = _actual(player, name, told)
    if actual.phase is not told.phase or (told.reason and actual.reason != told.reason):
        yield f"{name} is {actual.phase.value} {actual.reason}: it should be {told.phase.value} {told.reason}"
    elif actual.attempts != told.attempts:
        yield f"{name} had {actual.attempts} attempts, it should have had {told.attempts}"
    elif told.loose:
        yield from _compare_gaps(player, expected, name, actual)
    elif actual.outputs != told.outputs:
        yield f"{name} put out {actual.outputs}, not {told.outputs}"


def _compare_gaps(player: Player, expected: Story, name: str, actual: Told) -> Iterator[str]:
    """A list that went over its tolerance: none of it has another value than it should have had, or none."""
    task = player.tasks[name]
    if not task.proceeds and actual.outputs:
        yield f"{name} has failed and put out {actual.outputs}"
    for output, values in actual.outputs.items():
        for index, value in enumerate(values):
            if value not in (task.declared[output], expected[f"{name}[{index}]"].outputs.get(output)):
                yield f"{name}[{index}] put out {value} as {output}"


def _task(tasks: Collection[Task], name: str) -> Task:
    return next(task for task in tasks if task.name == name.partition("[")[0])


def _seen(player: Player) -> Story:
    """Return what all tasks have really put out."""
    return {name: _actual(player, name, Told(Phase.WAITING)) for name in player.tasks}


def _told(player: Player, expected: Story) -> Story:
    """Return what has really become of all nodes, as the past of the next epoch.

    Of a run that was stopped, the lists of `finally` may have been others than expected: of their items, all.
    """
    final = {task.name for task in player.scenario.tasks if task.final}
    nodes = player.run.nodes
    known = {name: told for name, told in expected.items() if name in nodes}
    others = {name: Told(Phase.WAITING) for name in nodes if name not in known and name.partition("[")[0] in final}
    return {name: _actual(player, name, told) for name, told in {**known, **others}.items()}


def _actual(player: Player, name: str, expected: Told) -> Told:
    state = player.run.nodes[name]
    outputs = dict(state.outputs)
    if state.node.work.kind is WorkKind.APPROVAL:
        for each in ("option", "by", "at"):
            outputs.pop(each, None)
    return replace(expected, phase=state.phase, reason=state.reason, attempts=_attempts(state), outputs=outputs)


def _attempts(state: NodeState) -> int:
    return len(state.attempts)


# The command.


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="only this one, and show it")
    chosen = parser.parse_args()
    if chosen.seed is not None:
        of = scenario(chosen.seed)
        print(of)
        found, used = differences(of)
        print("uses: " + ", ".join(sorted(used)))
        print("\n".join(found) or "they agree")
        return bool(found)
    return _many(chosen.first, chosen.count)


def _many(first: int, count: int) -> int:
    used: Counter[str] = Counter()
    wrong: list[int] = []
    began = time.monotonic()
    for number, seed in enumerate(range(first, first + count), start=1):
        of = scenario(seed)
        found, features = differences(of)
        used.update(features)
        if found:
            wrong.append(seed)
            if len(wrong) <= _SHOWN:
                print(f"{of}\n  " + "\n  ".join(f"! {each}" for each in found[:5]), flush=True)
        if number % max(1, count // 20) == 0:
            print(f"{number:7} of {count}, {time.monotonic() - began:.0f} s, {len(wrong)} disagree", flush=True)
    least = LEAST * count // 20_000
    rare = [feature for feature in FEATURES if used[feature] < least]
    for feature in FEATURES:
        print(f"{used[feature]:7}  {feature}" + (f"  (fewer than {least})" if feature in rare else ""))
    print(f"{count} scenarios, {len(wrong)} disagree" + (f": seeds {wrong[:50]}" if wrong else ""))
    if rare:
        print(f"{len(rare)} features are used too rarely to say anything about them: {', '.join(rare)}")
    return bool(wrong or rare)


if __name__ == "__main__":
    sys.exit(main())
