"""`--answer`: what is read from it, and what is no answer to anything."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.cli.answers import answer_to, asked_in, read_answers
from fairlead.cli.exits import CliError
from fairlead.engine.model import ActionKind, WorkKind
from fairlead.local.questions import Answer, Question

FORM = [{"name": "percent", "type": "integer"}, {"name": "note", "default": "none"}]
TEMPLATE = {"tasks": [{"name": "ask", "approval": {"message": "?"}}]}
SPEC: dict[str, Any] = {
    "tasks": [
        {"name": "sign-off", "approval": {"message": "?", "options": ["canary", "full"], "form": FORM}},
        {"name": "ingest", "wait": {"callback": True}, "outputs": [{"name": "rows", "type": "integer"}]},
        {"name": "sub", "workflow": {"templateRef": {"name": "t"}}},
        {"name": "load", "container": {"image": "x"}},
    ]
}
ASKED = asked_in(SPEC, {"t": TEMPLATE}.get)


def read(*given: str) -> dict[str, Answer]:
    return read_answers(given, ASKED)


def approved(**values: Any) -> Answer:
    return Answer(action=ActionKind.APPROVE, values=values)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["ask=Approve"], approved(option="Approve")),
        (["sign-off=canary", "sign-off.percent=10"], approved(option="canary", percent=10)),
        (["sign-off.percent=10", "sign-off=canary"], approved(percent=10, option="canary")),
        (["sign-off.percent=10", "sign-off.note=7"], approved(percent=10, note="7")),
        (["sign-off=Reject"], Answer(action=ActionKind.REJECT)),
        (['ingest={"rows": 7}'], Answer(action=ActionKind.COMPLETE, values={"rows": 7})),
        (["ingest.rows=7"], Answer(action=ActionKind.COMPLETE, values={"rows": 7})),
        (["ingest=Reject"], Answer(action=ActionKind.REJECT)),
    ],
)
def test_an_answer_is_read_by_what_is_asked(given: list[str], expected: Answer) -> None:
    (answer,) = read(*given).values()
    assert answer == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("sign-off", "write TASK=Approve"),
        ("load=Approve", "no task called 'load' waits for an answer"),
        ("sign-of=Approve", "did you mean 'sign-off'?"),
        ("sign-off=half", "must be one of canary, full, Reject"),
        ("sign-off=canary", "--answer sign-off.percent=… is missing"),
        ("sign-off.percentage=1", "no value is called 'percentage'; did you mean 'percent'?"),
        ("sign-off.percent=ten", "'ten' is no integer"),
        ("ingest=7", "as a JSON object"),
    ],
)
def test_what_is_no_answer_is_refused(given: str, message: str) -> None:
    with pytest.raises(CliError) as caught:
        read(given)
    assert message in caught.value.message


def test_an_item_may_have_an_answer_of_its_own() -> None:
    answers = read("ask=Approve", "ask[1]=Reject")

    def to(node: str, refused: str = "") -> Answer | None:
        return answer_to(Question(run="r", node=node, kind=WorkKind.APPROVAL, refused=refused), answers)

    assert to("ask[0]") == approved(option="Approve")
    assert to("ask[1]") == Answer(action=ActionKind.REJECT)
    assert to("other") is None
    assert to("ask[0]", "no") == Answer(action=ActionKind.REJECT, reason="no")
