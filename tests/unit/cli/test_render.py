"""How a run is drawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlead.cli.render.durations import between, duration
from fairlead.cli.render.layers import layers
from fairlead.cli.render.tree import ASCII, run_lines
from fairlead.cli.view import ItemCounts, RunView, TaskView
from fairlead.engine.model import Phase

T0 = datetime(2026, 1, 1, microsecond=1, tzinfo=UTC)
NOW = T0 + timedelta(seconds=10)


def task(name: str, phase: Phase = Phase.WAITING, *needs: str, took: float | None = None, **more: object) -> TaskView:
    started = None if phase in (Phase.WAITING, Phase.QUEUED, Phase.SKIPPED, Phase.UPSTREAM_FAILED) else T0
    completed = None if took is None else T0 + timedelta(seconds=took)
    fields = {"started_at": started, "completed_at": completed, "attempts": 1 if started else 0, **more}
    return TaskView(name=name, phase=phase, needs=needs, **fields)  # type: ignore[arg-type]


def drawn(*tasks: TaskView, phase: str = "Running", **options: object) -> list[str]:
    view = RunView(name="demo", phase=phase, started_at=T0, tasks=tasks)
    return [line.plain.rstrip() for line in run_lines(view, NOW, **options)]  # type: ignore[arg-type]


def test_tasks_are_drawn_layer_by_layer_and_brackets_hold_what_may_run_side_by_side() -> None:
    assert drawn(
        task("merge", Phase.WAITING, "eu", "us"),
        task("eu", Phase.RUNNING, "split"),
        task("us", Phase.SUCCEEDED, "split", took=2.5, attempts=2),
        task("split", Phase.SUCCEEDED, took=4.14),
    ) == [
        "demo  Running  2/4 tasks  10s",
        "    ✔ split    4.1s",
        "  ┌ ● eu        10s",
        "  └ ✔ us       2.5s  ×2",
        "    · merge",
    ]


def test_a_task_that_does_not_come_after_the_whole_layer_above_says_what_it_comes_after() -> None:
    lines = drawn(task("a", Phase.SUCCEEDED, took=1), task("b", Phase.SUCCEEDED, took=1), task("c", Phase.WAITING, "a"))
    assert lines[-1] == "    · c          ← a"


def test_many_parents_are_named_by_the_first_and_the_last() -> None:
    months = [task(f"m{n}", Phase.SUCCEEDED, took=1) for n in range(12)]
    lines = drawn(*months, task("other"), task("all", Phase.WAITING, *(f"m{n}" for n in range(12))))
    assert lines[-1].endswith("← m0 … m11 (12)")


def test_a_failure_shows_its_reason_and_all_of_its_message() -> None:
    failed = task("load", Phase.FAILED, took=1, reason="ExitCode", message="exit code 3: no such table\nbye")
    assert drawn(failed, phase="Failed")[1:] == [
        "    ✘ load    1.0s  ExitCode",
        "        exit code 3: no such table",
        "        bye",
    ]


def test_items_are_counted_at_their_task_and_the_first_that_went_wrong_are_told() -> None:
    counts = ItemCounts(total=1000, running=3, succeeded=600, failed=5)
    items = [
        task(f"load[{n}]", Phase.FAILED, took=1, reason="ExitCode", message=f"exit code {n}: x\nno such table")
        if n % 100 == 0
        else task(f"load[{n}]", Phase.SUCCEEDED, took=1)
        for n in range(500)
    ]
    busy = task("load[500]", Phase.BACKOFF, reason="Backoff", message="next attempt at 08:00", attempts=2)
    lines = drawn(task("load", Phase.RUNNING, items=counts), *items, busy, task("sum", Phase.WAITING, "load"))
    assert lines == [
        "demo  Running  0/2 tasks  10s",
        "    ● load     10s  605/1000 items, 3 running, 5 failed",
        "        ✘ load[0]  ExitCode: … no such table",
        "        ✘ load[100]  ExitCode: … no such table",
        "        ✘ load[200]  ExitCode: … no such table",
        "        … and 3 more",
        "    · sum",
    ]


def test_items_that_wait_for_somebody_are_named() -> None:
    items = [task(f"ask[{n}]", Phase.RUNNING, reason="WaitingForApproval", message="somebody has to") for n in range(2)]
    lines = drawn(task("ask", Phase.RUNNING, items=ItemCounts(total=2, running=2)), *items)
    assert lines[2:] == [f"        ● ask[{n}]  WaitingForApproval: somebody has to" for n in range(2)]


def test_rounds_are_counted_apart_from_attempts() -> None:
    lines = drawn(
        task("a", Phase.RUNNING, round=3, attempts=3), task("b", Phase.RUNNING, round=2, attempts=4), phase="Running"
    )
    assert [line.split("10s")[1].strip() for line in lines[1:]] == ["round 3", "round 2  ×4"]


def test_finally_comes_below_all_else() -> None:
    lines = drawn(task("notify", Phase.WAITING, final=True), task("a", Phase.RUNNING), task("b", Phase.WAITING, "a"))
    assert [line.strip() for line in lines[1:]] == ["● a          10s", "· b", "finally", "· notify"]


def test_whatever_did_not_run_says_why() -> None:
    skipped = task("a", Phase.SKIPPED, reason="WhenFalse", message="its condition `when` is false")
    assert drawn(skipped)[1].split(maxsplit=2)[2] == "Skipped: its condition `when` is false"


def test_many_that_did_not_run_for_one_reason_are_one_line() -> None:
    lines = drawn(
        task("a", Phase.FAILED, took=1, reason="ExitCode"),
        *(task(f"b{n}", Phase.UPSTREAM_FAILED, "a", message="a Failed") for n in range(12)),
        task("c", Phase.SUCCEEDED, "a", took=1),
    )
    assert lines[2:] == ["  ┌ ⊘ b0 … b11 (12)  UpstreamFailed: a Failed", "  └ ✔ c      1.0s"]


def test_a_run_nobody_has_taken_up_yet_says_so() -> None:
    view = RunView(name="demo", phase="Pending", message="no operator has recorded anything yet")
    assert [line.plain for line in run_lines(view, NOW)] == ["demo  Pending\n  no operator has recorded anything yet"]


def test_there_are_glyphs_for_terminals_without_unicode() -> None:
    tasks = [task(phase.value, phase, took=1, attempts=2) for phase in Phase]
    after = task("after", Phase.WAITING, *(phase.value for phase in list(Phase)[:5]))
    text = "\n".join(drawn(*tasks, after, glyphs=ASCII) + drawn(*tasks, after, glyphs=ASCII, height=4))
    assert text.isascii()


def test_on_a_small_screen_what_is_over_is_folded_first() -> None:
    done = [task(f"done{n}", Phase.SUCCEEDED, took=n) for n in range(10)]
    running = [task(f"run{n}", Phase.RUNNING, "done0") for n in range(3)]
    waiting = [task(f"wait{n}", Phase.WAITING, "run0") for n in range(10)]
    lines = drawn(*done, *running, *waiting, height=16)
    assert len(lines) == 15
    assert lines[1] == "    ✔ 10 Succeeded: done0 … done9 (10)  9.0s"
    assert [line.split()[2] for line in lines[2:5]] == ["run0", "run1", "run2"]
    assert drawn(*done, *running, *waiting, height=7)[-1] == "    · 10 Waiting: wait0 … wait9 (10)"


@given(st.lists(st.sampled_from(Phase), max_size=30), st.integers(4, 40), st.data())
def test_a_picture_never_exceeds_the_height_it_was_given(phases: list[Phase], height: int, data: st.DataObject) -> None:
    tasks = [
        task(
            f"t{n}",
            phase,
            *(f"t{m}" for m in data.draw(st.sets(st.integers(0, n - 1), max_size=3)) if n),
            message="x\ny",
            final=n % 5 == 4,
        )
        if n
        else task("t0", phase)
        for n, phase in enumerate(phases)
    ]
    assert len(drawn(*tasks, height=height)) <= height


@given(st.integers(0, 12), st.data())
def test_every_task_is_drawn_once_and_below_all_that_it_needs(size: int, data: st.DataObject) -> None:
    needs = {n: data.draw(st.sets(st.integers(0, n - 1))) if n else set() for n in range(size)}
    tasks = [task(str(n), Phase.WAITING, *map(str, needs[n])) for n in range(size)]
    depth = {each.name: row for row, layer in enumerate(layers(data.draw(st.permutations(tasks)))) for each in layer}
    assert depth.keys() == {str(n) for n in range(size)}
    assert all(depth[str(m)] < depth[str(n)] for n in range(size) for m in needs[n])


def test_a_cycle_is_drawn_all_the_same() -> None:
    found = layers([task("a"), task("b", Phase.WAITING, "c"), task("c", Phase.WAITING, "b", "nobody")])
    assert [[each.name for each in layer] for layer in found] == [["a"], ["b", "c"]]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0s"),
        (0.04, "0.0s"),
        (9.9, "9.9s"),
        (9.97, "10s"),
        (59.4, "59s"),
        (59.7, "1m00s"),
        (185, "3m05s"),
        (7800, "2h10m"),
        (86_400 * 3 + 3600 * 4, "3d04h"),
    ],
)
def test_durations_have_about_three_digits(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_times_known_to_the_second_give_durations_in_seconds() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert between(start, start + timedelta(seconds=7), NOW) == "7s"
    assert between(start, None, start + timedelta(seconds=3.4)) == "3s"
    assert between(start, start + timedelta(seconds=0.5), NOW) == "0.5s"
    assert between(None, None, NOW) == ""
