"""The text of docs/cli.md, made from the commands themselves, so that it cannot say anything else than `--help`.

`make gen` writes it and `make check` compares; `python -m fairlead.cli.reference` prints it. What is read are the
signatures of the command functions, not the objects that typer makes of them, which change with its versions.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

from fairlead.cli.main import COMMANDS

__all__ = ["document"]

_HEAD = """\
# The command line

<!-- Generated from operator/fairlead/cli by `make gen`. Do not edit. -->

    fairlead COMMAND …
    kubectl fairlead COMMAND …      the same, as a plug-in of kubectl

What was asked for goes to standard output, everything else to standard error. `NO_COLOR` is honoured, and where there
is no terminal each event is a plain line.

| exit code | means |
|---|---|
| 0 | all is well |
| 1 | a run has failed, a check has found errors |
| 2 | wrong usage, an invalid workflow |
| 3 | no cluster within reach |
| 130 | stopped by Ctrl-C (143: by SIGTERM, 129: its terminal was closed) |
"""


def document() -> str:
    """Return the document."""
    sections = (_section(name, function, examples) for name, (function, examples) in COMMANDS.items())
    return "\n".join([_HEAD, *sections])


def _section(name: str, function: Callable[..., None], examples: tuple[str, ...]) -> str:
    arguments, options = [], []
    hints = get_type_hints(function, include_extras=True)
    for parameter in inspect.signature(function).parameters.values():
        type_, info = get_args(hints[parameter.name])[:2]
        if isinstance(info, ArgumentInfo):
            arguments.append((info, type_, parameter.default is inspect.Parameter.empty))
        elif isinstance(info, OptionInfo):
            options.append((info, type_, parameter.default))
    usage = " ".join(["fairlead", name, *(_usage(*each) for each in arguments), "[OPTIONS]"])
    rows = [(f"`{each.metavar}`", each.help or "") for each, _, _ in arguments]
    rows += [(_names(info, type_), (info.help or "") + _default(type_, default)) for info, type_, default in options]
    table = [f"| {left} | {right} |" for left, right in rows]
    return "\n".join(
        [
            *(f"## fairlead {name}", "", f"    {usage}", "", inspect.cleandoc(function.__doc__ or ""), ""),
            *("| | |", "|---|---|", *table, ""),
            *(f"    {example}" for example in examples),
            "",
        ]
    )


def _usage(info: ArgumentInfo, type_: Any, required: bool) -> str:
    many = list in (get_origin(each) for each in (type_, *get_args(type_)))
    usage = f"{info.metavar}…" if many else str(info.metavar)
    return usage if required else f"[{usage}]"


def _names(info: OptionInfo, type_: Any) -> str:
    """Return the names of an option, with what it takes."""
    # typer takes the first name of an annotated option for its default until it has read the signature.
    declared = (info.default, *(info.param_decls or ()))
    names = ", ".join(f"`{name}`" for each in declared for name in str(each).split("/"))
    if type_ is bool:
        return names
    choices = _choices(type_)
    plain = "N" if int in (type_, *get_args(type_)) else "TEXT"
    return f"{names} `{info.metavar or ', '.join(choices) or plain}`"


def _choices(type_: Any) -> list[str]:
    return [str(each.value) for each in type_] if isinstance(type_, type) and issubclass(type_, Enum) else []


def _default(type_: Any, default: Any) -> str:
    if default is inspect.Parameter.empty:
        return " Required."
    if type_ is bool or default is None:
        return ""
    return f" Default: `{getattr(default, 'value', default)}`."


if __name__ == "__main__":
    sys.stdout.write(document())
