"""Why a task does not run: from what it waits for to the root causes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.apiserver import FakeApiServer
from typer.testing import CliRunner, Result

from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.explanation import Explanation
from fairlead.cli.main import app
from fairlead.cli.render.causes import cause_lines, chain_lines
from fairlead.cli.render.tree import GLYPHS
from fairlead.cli.view import RunView, TaskView
from fairlead.engine.model import Phase


def task(name: str, phase: str, *needs: str, reason: str = "", message: str = "") -> TaskView:
    return TaskView(name=name, phase=Phase(phase), needs=needs, reason=reason, message=message)


def explained(*tasks: TaskView, final: tuple[str, ...] = ()) -> Explanation:
    return Explanation(RunView(name="daily", phase="Running", tasks=tasks), frozenset(final))


def lines(explanation: Explanation) -> list[list[str]]:
    return [line.plain.split(maxsplit=2) for line in cause_lines(explanation.lines(), GLYPHS)]


def chain(explanation: Explanation, name: str) -> list[str]:
    return [line.plain for line in chain_lines(explanation.chain(name), GLYPHS)]


STUCK = (
    task("extract", "Succeeded"),
    task("load", "Starting", "extract", reason="Unschedulable", message="0/3 nodes are available"),
    task("transform", "Waiting", "load", reason="WaitingForTasks", message="load"),
    task("publish", "Waiting", "transform", "extract", reason="WaitingForTasks", message="transform"),
)


def test_what_waits_is_traced_to_what_stands_still() -> None:
    assert lines(explained(*STUCK)) == [
        ["load", "Starting", "Unschedulable: 0/3 nodes are available"],
        ["transform", "Waiting", "for load"],
        ["publish", "Waiting", "for transform ← load"],
    ]


def test_the_chain_of_one_task_goes_down_to_its_root() -> None:
    assert chain(explained(*STUCK), "publish") == [
        "publish  Waiting  WaitingForTasks: transform",
        "└ transform  Waiting  WaitingForTasks: load",
        "  └ load  Starting  Unschedulable: 0/3 nodes are available",
    ]


def test_a_task_that_runs_is_a_root_cause_without_a_line_of_its_own() -> None:
    found = explained(task("a", "Running"), task("b", "Waiting", "a"), task("c", "Waiting", "b"))
    assert lines(found) == [["b", "Waiting", "for a"], ["c", "Waiting", "for b ← a"]]
    assert chain(found, "b") == ["b  Waiting", "└ a  Running"]


def test_a_cause_of_several_is_told_once() -> None:
    found = explained(
        task("a", "Queued", reason="QuotaExceeded", message="pods"),
        task("b", "Waiting", "a"),
        task("c", "Waiting", "a"),
        task("d", "Waiting", "b", "c"),
    )
    assert chain(found, "d") == [
        "d  Waiting",
        "├ b  Waiting",
        "│ └ a  Queued  QuotaExceeded: pods",
        "└ c  Waiting",
        "  └ a  Queued  see above",
    ]


def test_items_explain_their_task() -> None:
    found = explained(
        task("m", "Running"),
        task("m[0]", "Succeeded"),
        task("m[1]", "Backoff", reason="Backoff", message="next attempt at 08:01"),
        task("m[2]", "Running"),
        task("join", "Waiting", "m"),
    )
    assert lines(found) == [
        ["m[1]", "Backoff", "Backoff: next attempt at 08:01"],
        ["join", "Waiting", "for m ← m[1]"],
    ]


def test_many_items_that_say_the_same_are_one_line() -> None:
    items = [task(f"m[{n}]", "Queued", reason="WaitingForParallelism", message="2/2 running") for n in range(50)]
    [line] = explained(task("m", "Running"), *items).lines()
    assert (line.task.name, line.count) == ("m[0]", 50)
    [text] = cause_lines([line], GLYPHS)
    assert text.plain.split() == ["m[0]", "and", "49", "more", "Queued", "WaitingForParallelism:", "2/2", "running"]


def test_a_failure_is_named_by_all_that_did_not_run_because_of_it() -> None:
    found = explained(
        task("load", "Failed", reason="Error", message="exit code 1\nno such table"),
        task("transform", "UpstreamFailed", "load", reason="UpstreamFailed"),
        task("publish", "UpstreamFailed", "transform", reason="UpstreamFailed"),
        task("notify", "Skipped", "load", reason="TriggerRule"),
    )
    assert lines(found) == [
        ["load", "Failed", "Error: exit code 1 no such table"],
        ["transform", "UpstreamFailed", "by load"],
        ["publish", "UpstreamFailed", "by transform ← load"],
    ]


def test_finally_waits_for_all_the_others() -> None:
    found = explained(task("a", "Running"), task("b", "Waiting", "a"), task("clean", "Waiting"), final=("clean",))
    assert ["clean", "Waiting", "for a, b ← a"] in lines(found)


def test_parents_that_are_not_known_are_left_out() -> None:
    assert lines(explained(task("a", "Waiting", "gone", reason="WaitingForTasks", message="gone"))) == [
        ["a", "Waiting", "WaitingForTasks: gone"]
    ]


def test_a_chain_longer_than_the_stack_is_cut_and_ends_at_its_root() -> None:
    tasks = [task("t0", "Queued", reason="QuotaExceeded")]
    tasks += [task(f"t{n}", "Waiting", f"t{n - 1}") for n in range(1, 5000)]
    found = explained(*tasks)
    assert found.lines()[-1].roots == ("t0",)
    told = chain(found, "t4999")
    assert told[-2].strip() == "└ …"
    assert told[-1].strip() == "t0  Queued  QuotaExceeded"


def test_of_very_many_causes_some_are_shown() -> None:
    causes = [task(f"a{n}", "Queued", reason="QuotaExceeded", message=str(n)) for n in range(60)]
    found = explained(*causes, task("b", "Waiting", *(each.name for each in causes)), task("c", "Waiting", "b"))
    assert lines(found)[-1] == ["c", "Waiting", "for b ← a0 … a49 (50) or more"]
    told = chain(found, "c")
    assert len(told) == 13
    assert told[-1] == "  └ … 50 more"


def test_a_cycle_of_a_refused_definition_has_no_root() -> None:
    found = explained(task("a", "Waiting", "b"), task("b", "Waiting", "a"))
    assert [line.roots for line in found.lines()] == [(), ()]
    assert chain(found, "a")[-1].endswith("see above")


# -- the command


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as made:
        command = {"image": "x", "command": ["true"]}
        status = {
            "phase": "Running",
            "conditions": [],
            "tasks": [
                {"name": "a", "phase": "Starting", "reason": "ImagePull", "message": "not found"},
                {"name": "b", "phase": "Waiting", "reason": "WaitingForTasks", "message": "a"},
            ],
        }
        tasks = [{"name": "a", "container": command}, {"name": "b", "needs": ["a"], "container": command}]
        made.add("daily", status, tasks)
        made.add("new", None, tasks)
        yield made


@pytest.fixture
def explain(server: FakeApiServer, tmp_path: Path) -> Any:
    kubeconfig = server.kubeconfig(tmp_path)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["explain", *arguments, "--kubeconfig", str(kubeconfig)])

    return invoke


def test_a_run_is_explained(explain: Any) -> None:
    result = explain("daily")
    assert result.exit_code == ExitCode.OK
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["daily", "Running"],
        ["a", "Starting", "ImagePull:", "not", "found"],
        ["b", "Waiting", "for", "a"],
    ]


def test_one_task_is_explained(explain: Any) -> None:
    assert explain("daily", "b").stdout.splitlines() == [
        "b  Waiting  WaitingForTasks: a",
        "└ a  Starting  ImagePull: not found",
    ]


def test_a_run_that_nobody_has_taken_up_says_so(explain: Any) -> None:
    assert explain("new").stdout.startswith("new  Pending: no operator has recorded anything yet")


def test_for_programs(explain: Any) -> None:
    [a, b] = json.loads(explain("daily", "-o", "json").stdout)
    assert a == {
        "name": "a",
        "phase": "Starting",
        "reason": "ImagePull",
        "message": "not found",
        "waitsFor": [],
        "rootCauses": [],
    }
    assert (b["waitsFor"], b["rootCauses"]) == (["a"], ["a"])
    assert [each["name"] for each in json.loads(explain("daily", "b", "-o", "json").stdout)["causes"]] == ["a"]


def test_a_task_that_is_not_there(explain: Any) -> None:
    error = explain("daily", "c").exception
    assert isinstance(error, CliError)
    assert (error.code, "has no task 'c'" in error.message) == (ExitCode.USAGE, True)


@pytest.mark.parametrize(("known", "said"), [(True, "for a"), (False, "WaitingForTasks: a")])
def test_a_run_of_a_template_is_explained_by_its_own_copy(
    server: FakeApiServer, explain: Any, known: bool, said: str
) -> None:
    daily = server.workflows["daily"]
    if known:
        server.revisions["daily-5f"] = dict(daily["spec"])
    daily["spec"] = {"templateRef": {"name": "t"}}
    daily["status"]["definition"] = {"template": "t", "revision": "daily-5f"}
    assert explain("daily").stdout.splitlines()[-1].split(maxsplit=2) == ["b", "Waiting", said]
