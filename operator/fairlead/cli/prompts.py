"""Asking for an approval on a terminal: what is to be decided, the options, and the fields of the form one by one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.console import Console
from rich.text import Text

from fairlead.cli.arguments import read_value
from fairlead.cli.exits import CliError
from fairlead.engine.model import ActionKind, Json
from fairlead.local.questions import Answer, Question

__all__ = ["Prompter"]

_REJECT = "Reject"


class Prompter:
    """Asks one question at a time; the others wait for their turn.

    `paused` gives the terminal for as long as it lasts, `ended` is told when there is nothing more to be read.
    """

    def __init__(self, console: Console, descriptor: int) -> None:
        self.paused: Callable[[], AbstractContextManager[None]] = nullcontext
        self.ended: Callable[[], None] = lambda: None
        self._console = console
        self._descriptor = descriptor
        self._turn = asyncio.Lock()
        self._typed = b""

    async def ask(self, question: Question) -> Answer:
        """Ask until there is an answer that can be one."""
        async with self._turn:
            with self.paused():
                return await self._ask(question)

    async def _ask(self, question: Question) -> Answer:
        if question.refused:
            self._say(Text(f"that cannot be: {question.refused}", "red"))
        self._say(Text.assemble((question.node, "bold"), f": {question.message}"))
        options = list(dict.fromkeys((*question.options, _REJECT)))
        chosen = await self._choose(options)
        if chosen not in question.options:
            return Answer(action=ActionKind.REJECT)
        values: dict[str, Json] = {"option": chosen}
        for field in question.form:
            values |= await self._fill_in(field)
        return Answer(action=ActionKind.APPROVE, values=values)

    async def _choose(self, options: list[str]) -> str:
        shown = "  ".join(f"[{number}] {option}" for number, option in enumerate(options, start=1))
        while True:
            text = (await self._line(f"  {shown}  ")).strip()
            if text.isdecimal() and 1 <= int(text) <= len(options):
                return options[int(text) - 1]
            for option in options:
                if text.lower() == option.lower():
                    return option

    async def _fill_in(self, field: Mapping[str, Any]) -> dict[str, Json]:
        """Return a field of the form with its value; nothing for one that is left to its default."""
        name, type_ = field["name"], field.get("type", "string")
        default = f", default {field['default']!r}" if "default" in field else ""
        description = f" {field['description']}" if field.get("description") else ""
        while True:
            text = await self._line(f"  {name} ({type_}{default}){description}: ")
            if not text and "default" in field:
                return {}
            try:
                return {name: read_value(name, text, type_, "")}
            except CliError as error:
                self._say(Text(f"  {error.message.strip()}", "red"))

    def _say(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)

    async def _line(self, prompt: str) -> str:
        """Return what is typed next, without the end of the line."""
        self._console.print(Text(prompt), end="", soft_wrap=True)
        while b"\n" not in self._typed:
            found = await self._read()
            if not found:
                self._say(Text())
                self.ended()
                await asyncio.Future[None]()  # until it is called off
            self._typed += found
        line, _, self._typed = self._typed.partition(b"\n")
        return line.decode(errors="replace")

    async def _read(self) -> bytes:
        """Wait for something to be typed. Without a thread, which could not be called off."""
        loop = asyncio.get_running_loop()
        typed: asyncio.Future[bytes] = loop.create_future()

        def read() -> None:
            if not typed.done():
                typed.set_result(os.read(self._descriptor, 65_536))

        loop.add_reader(self._descriptor, read)
        try:
            return await typed
        except asyncio.CancelledError:
            self._say(Text())
            raise
        finally:
            loop.remove_reader(self._descriptor)
