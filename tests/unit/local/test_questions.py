"""What waits for somebody's answer, in a run on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fairlead.api.compile import compile_workflow
from fairlead.engine.model import ActionKind, WorkKind
from fairlead.expr.cel import CelEvaluator
from fairlead.local.questions import Answer, Answerer, Question
from fairlead.local.runner import LocalRun, Surroundings

FORM = [{"name": "percent", "type": "integer", "maximum": 100}]
CALLBACK = {"name": "a", "wait": {"callback": True}, "outputs": [{"name": "rows", "type": "integer"}]}


class Somebody:
    """Gives one answer after the other, and remembers what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[Question] = []

    async def __call__(self, question: Question) -> Answer:
        self.asked.append(question)
        if not self.answers:
            await asyncio.Future[None]()
        return self.answers.pop(0)


def approve(**values: Any) -> Answer:
    return Answer(action=ActionKind.APPROVE, values=values)


def approval(**more: Any) -> dict[str, Any]:
    return {"name": "a", "approval": {"message": "Publish?", **more}}


def prepared(workdir: Path, answerer: Answerer | None, *tasks: Mapping[str, Any]) -> LocalRun:
    compiled = compile_workflow({"tasks": list(tasks)}, evaluator=CelEvaluator(), name="demo", namespace="default")
    surroundings = Surroundings(base={}, answerer=answerer) if answerer else Surroundings(base={})
    return LocalRun(compiled, settings=compiled.settings, uid="u", workdir=workdir, surroundings=surroundings)


async def executed(workdir: Path, answerer: Answerer | None, *tasks: Mapping[str, Any]) -> LocalRun:
    run = prepared(workdir, answerer, *tasks)
    await asyncio.wait_for(run.execute(), 20)
    return run


async def test_an_approval_shows_what_it_is_about_and_hands_on_the_answer(tmp_path: Path) -> None:
    somebody = Somebody(approve(option="canary", percent=10))
    run = await executed(tmp_path, somebody, approval(options=["canary", "full"], form=FORM))
    (question,) = somebody.asked
    assert (question.run, question.node, question.kind) == ("demo", "a", WorkKind.APPROVAL)
    assert (question.message, question.options, question.form[0]["name"]) == ("Publish?", ("canary", "full"), "percent")
    outputs = run.state.nodes["a"].outputs
    assert (outputs["option"], outputs["percent"], outputs["by"]) == ("canary", 10, "you")


async def test_an_answer_that_does_not_fit_is_asked_for_again(tmp_path: Path) -> None:
    somebody = Somebody(approve(percent=1000), approve(percent=10))
    run = await executed(tmp_path, somebody, approval(form=FORM))
    assert "must be at most 100" in somebody.asked[1].refused
    assert run.state.nodes["a"].outputs["percent"] == 10


async def test_a_rejection_fails_the_task(tmp_path: Path) -> None:
    run = await executed(tmp_path, Somebody(Answer(action=ActionKind.REJECT)), approval())
    assert run.state.nodes["a"].reason == "Rejected"


async def test_what_is_for_some_people_is_answered_in_the_name_of_the_first(tmp_path: Path) -> None:
    run = await executed(tmp_path, Somebody(approve()), approval(users=["ann", "bob"]))
    assert run.state.nodes["a"].outputs["by"] == "ann"
    run = await executed(tmp_path, Somebody(approve()), approval(groups=["leads"]))
    assert run.state.nodes["a"].outputs["by"] == "you"


async def test_a_callback_brings_outputs(tmp_path: Path) -> None:
    run = await executed(tmp_path, Somebody(Answer(action=ActionKind.COMPLETE, values={"rows": 7})), CALLBACK)
    assert run.state.nodes["a"].outputs == {"rows": 7}


async def test_without_anybody_it_is_rejected(tmp_path: Path) -> None:
    run = await executed(tmp_path, None, approval())
    assert run.state.nodes["a"].message == "rejected by you: there is nobody here to answer"


async def test_a_question_is_taken_back_when_its_time_is_up(tmp_path: Path) -> None:
    run = await executed(tmp_path, Somebody(), approval(timeoutSeconds=1, onTimeout="Approve"))
    assert run.state.nodes["a"].outputs["by"] == ""


async def test_a_question_is_taken_back_when_the_run_is_stopped(tmp_path: Path) -> None:
    run = prepared(tmp_path, Somebody(), approval())
    run.stop()
    await asyncio.wait_for(run.execute(), 5)
    assert run.state.nodes["a"].phase == "Cancelled"


async def test_each_item_is_a_question_of_its_own(tmp_path: Path) -> None:
    somebody = Somebody(approve(), approve())
    await executed(tmp_path, somebody, {**approval(), "forEach": {"in": ["eu", "us"]}})
    assert [question.node for question in somebody.asked] == ["a[0]", "a[1]"]
