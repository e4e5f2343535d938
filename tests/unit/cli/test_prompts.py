"""Asking on a terminal."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Iterator

import pytest
from rich.console import Console

from fairlead.cli.prompts import Prompter
from fairlead.engine.model import ActionKind, WorkKind
from fairlead.local.questions import Answer, Question

FORM = (
    {"name": "percent", "type": "integer", "description": "of all users"},
    {"name": "note", "default": "none"},
)


class Terminal:
    """A keyboard and a screen."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        self.screen = io.StringIO()
        self.prompter = Prompter(Console(file=self.screen, width=200), self.reading)

    async def ask(self, question: Question, *lines: str) -> Answer:
        os.write(self.writing, "".join(f"{line}\n" for line in lines).encode())
        return await asyncio.wait_for(self.prompter.ask(question), 5)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    for descriptor in (made.reading, made.writing):
        os.close(descriptor)


def question(*options: str, **more: object) -> Question:
    asked = {"run": "demo", "node": "sign-off", "kind": WorkKind.APPROVAL, "message": "Publish?", **more}
    return Question(options=options or ("Approve",), **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("typed", "action", "option"),
    [
        ("1", ActionKind.APPROVE, "canary"),
        ("FULL", ActionKind.APPROVE, "full"),
        ("3", ActionKind.REJECT, None),
        ("reject", ActionKind.REJECT, None),
    ],
)
async def test_an_option_is_chosen_by_number_or_name(
    terminal: Terminal, typed: str, action: ActionKind, option: str | None
) -> None:
    answer = await terminal.ask(question("canary", "full"), typed)
    assert (answer.action, answer.values.get("option")) == (action, option)
    assert "sign-off: Publish?" in terminal.screen.getvalue()
    assert "[1] canary  [2] full  [3] Reject" in terminal.screen.getvalue()


async def test_the_form_is_filled_in_field_by_field(terminal: Terminal) -> None:
    answer = await terminal.ask(question(form=FORM), "approve", "10", "")
    assert answer.values == {"option": "Approve", "percent": 10}
    assert "percent (integer) of all users: " in terminal.screen.getvalue()
    assert "note (string, default 'none'): " in terminal.screen.getvalue()


async def test_what_is_no_answer_is_asked_for_again(terminal: Terminal) -> None:
    answer = await terminal.ask(question(form=FORM[:1]), "perhaps", "1", "ten", "10")
    assert answer.values["percent"] == 10
    assert "'ten' is no integer" in terminal.screen.getvalue()


async def test_a_refusal_is_told_with_the_question(terminal: Terminal) -> None:
    await terminal.ask(question(refused="too much"), "1")
    assert "that cannot be: too much" in terminal.screen.getvalue()


async def test_questions_wait_for_their_turn(terminal: Terminal) -> None:
    first = asyncio.create_task(terminal.prompter.ask(question(message="First?")))
    second = asyncio.create_task(terminal.prompter.ask(question(message="Second?")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert "Second?" not in terminal.screen.getvalue()
    os.write(terminal.writing, b"1\n")
    await asyncio.wait_for(first, 5)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second


async def test_the_end_of_the_input_is_told(terminal: Terminal) -> None:
    ended = asyncio.Event()
    terminal.prompter.ended = ended.set
    asking = asyncio.create_task(terminal.prompter.ask(question()))
    os.close(terminal.writing)
    await asyncio.wait_for(ended.wait(), 5)
    terminal.writing = os.open(os.devnull, os.O_WRONLY)
    asking.cancel()
