"""`workflow` tasks on this machine: runs within a run, of templates that stand in the same file or in others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.local.stage import eventually, is_alive, phases

from fairlead.api.compile import compile_workflow
from fairlead.engine.capacity import MOST_DEEP
from fairlead.engine.model import FailureClass
from fairlead.expr.cel import CelEvaluator
from fairlead.local.runner import LocalRun, Surroundings
from fairlead.local.sandbox import base_environment


def shell(name: str, text: str = "true", **more: Any) -> dict[str, Any]:
    return {"name": name, "container": {"image": "x", "command": ["sh", "-c", text]}, **more}


def sub(name: str, template: str, *arguments: tuple[str, Any], **more: Any) -> dict[str, Any]:
    given = [{"name": key, "value": value} for key, value in arguments]
    return {"name": name, "workflow": {"templateRef": {"name": template}, "arguments": given}, **more}


def prepared(workdir: Path, spec: Mapping[str, Any], **templates: Mapping[str, Any]) -> LocalRun:
    compiled = compile_workflow(spec, evaluator=CelEvaluator(), name="demo", namespace="default")
    surroundings = Surroundings(base=base_environment({}), find_template=templates.get)
    return LocalRun(compiled, settings=compiled.settings, uid="u", workdir=workdir, surroundings=surroundings)


async def executed(workdir: Path, *tasks: dict[str, Any], **templates: Mapping[str, Any]) -> LocalRun:
    run = prepared(workdir, {"tasks": list(tasks)}, **templates)
    await asyncio.wait_for(run.execute(), 20)
    return run


DOUBLE = {
    "params": [{"name": "number", "type": "integer"}],
    "tasks": [{"name": "calc", "set": {"values": [{"name": "twice", "value": "${params.number * 2}"}]}}],
    "outputs": [{"name": "twice", "value": "${tasks.calc.outputs.twice}"}],
}
TWICE = [{"name": "twice", "type": "integer"}]


async def test_arguments_go_in_and_outputs_come_out(tmp_path: Path) -> None:
    run = await executed(tmp_path, sub("a", "double", ("number", 4), outputs=TWICE), double=DOUBLE)
    assert run.state.nodes["a"].outputs == {"twice": 8}


async def test_each_item_of_a_list_has_a_run_of_its_own(tmp_path: Path) -> None:
    task = sub("a", "double", ("number", "${item}"), outputs=TWICE, forEach={"in": [1, 2, 3]})
    run = await executed(tmp_path, task, double=DOUBLE)
    assert run.state.nodes["a"].outputs == {"twice": [2, 4, 6]}


async def test_its_failure_is_that_of_the_attempt_which_may_be_tried_again(tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    template = {"tasks": [shell("x", f"[ -e {flag} ] || {{ touch {flag}; echo boo; exit 3; }}")]}
    retry = {"limit": 1, "backoff": {"initialSeconds": 0}}
    run = await executed(tmp_path / "work", sub("a", "t", retry=retry), t=template)
    first, second = run.state.nodes["a"].attempts
    assert (first.failure_class, first.reason) == (FailureClass.USER, "SubworkflowFailed")
    assert "boo" in first.message
    assert second.succeeded


async def test_where_the_logs_of_its_failures_are_is_known(tmp_path: Path) -> None:
    run = await executed(tmp_path, sub("a", "t"), t={"tasks": [shell("x", "echo boo; exit 3")]})
    (log,) = run.logs_of_failures()
    assert log.read_text() == "boo\n"
    assert log.is_relative_to(tmp_path / "a" / "1")


async def test_a_wrong_argument_is_the_end_of_it(tmp_path: Path) -> None:
    run = await executed(tmp_path, sub("a", "double", ("number", "four")), double=DOUBLE)
    (attempt,) = run.state.nodes["a"].attempts
    assert attempt.failure_class is FailureClass.CONFIGURATION
    assert attempt.message == 'spec.arguments[0].value: must be of type integer, not "four"'


async def test_a_stop_goes_down_and_finally_runs_there_too(tmp_path: Path) -> None:
    template = {
        "tasks": [shell("x", "echo $$$$ > pid; sleep 60")],
        "finally": [shell("tidy", f"touch {tmp_path}/tidied")],
    }
    run = prepared(tmp_path / "work", {"tasks": [sub("a", "t")]}, t=template)
    going = asyncio.create_task(run.execute())
    pid = tmp_path / "work/a/1/x/1/work/pid"
    await eventually(lambda: pid.exists() and pid.read_text())
    run.stop()
    await asyncio.wait_for(going, 20)
    assert phases(run) == {"a": "Cancelled"}
    assert (tmp_path / "tidied").exists()
    await eventually(lambda: not is_alive(int(pid.read_text())))


async def test_the_time_out_of_the_attempt_ends_it(tmp_path: Path) -> None:
    run = await executed(tmp_path, sub("a", "t", timeoutSeconds=1), t={"tasks": [shell("x", "sleep 60")]})
    (attempt,) = run.state.nodes["a"].attempts
    assert (attempt.reason, attempt.failure_class) == ("TimedOut", FailureClass.TIMEOUT)


async def test_killing_a_run_leaves_nothing_of_it_and_runs_no_finally(tmp_path: Path) -> None:
    template = {
        "tasks": [shell("x", "trap '' TERM; echo $$$$ > pid; while true; do sleep 0.01; done")],
        "finally": [shell("tidy", f"touch {tmp_path}/tidied")],
    }
    run = prepared(tmp_path / "work", {"tasks": [sub("a", "t")]}, t=template)
    going = asyncio.create_task(run.execute())
    pid = tmp_path / "work/a/1/x/1/work/pid"
    await eventually(lambda: pid.exists() and pid.read_text())
    run.kill()
    await asyncio.wait_for(going, 3)
    assert not (tmp_path / "tidied").exists()
    await eventually(lambda: not is_alive(int(pid.read_text())))


async def test_templates_that_run_each_other_come_to_an_end(tmp_path: Path) -> None:
    run = await executed(tmp_path, sub("a", "t"), t={"tasks": [sub("b", "t")]})
    assert f"{MOST_DEEP} Workflows are above this one" in run.state.nodes["a"].message


@pytest.mark.parametrize("limit", [1, 2])
async def test_it_takes_one_place_of_the_parallelism_of_its_parent(tmp_path: Path, limit: int) -> None:
    busy = f"echo begin >> {tmp_path}/log; sleep 0.05; echo end >> {tmp_path}/log"
    task = sub("a", "t", forEach={"in": [1, 2, 3]})
    run = prepared(tmp_path / "work", {"parallelism": limit, "tasks": [task]}, t={"tasks": [shell("x", busy)]})
    await asyncio.wait_for(run.execute(), 20)
    at_once = most = 0
    for line in (tmp_path / "log").read_text().split():
        at_once += 1 if line == "begin" else -1
        most = max(most, at_once)
    assert most <= limit
