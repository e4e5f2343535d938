"""What a Workflow on a cluster declares of a task, so that values for it are read by their types; and its attempt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fairlead.cli.arguments import read_values
from fairlead.cli.exits import CliError

__all__ = ["answers_of", "outputs_of", "token_of"]

_Object = Mapping[str, Any]


def outputs_of(workflow: _Object, task: str, given: Iterable[str]) -> dict[str, Any]:
    """Return `values` for the outputs of a task, as they were typed; nothing where none were. Raises `CliError`."""
    values = read_values(given, _types(_task(workflow, task).get("outputs")), "-v")
    return {"values": values} if values else {}


def answers_of(workflow: _Object, task: str, given: Iterable[str], option: str | None) -> dict[str, Any]:
    """Return `values` for an approval: its option, and what was typed for its form. Raises `CliError`."""
    approval = _task(workflow, task).get("approval") or {}
    values = read_values(given, _types(approval.get("form")), "-v")
    if option is not None:
        values["option"] = option
    return {"values": values} if values else {}


def token_of(workflow: _Object, task: str) -> str:
    """Return the token of the attempt that waits now: its name. Raises :class:`CliError`."""
    for each in (workflow.get("status") or {}).get("tasks") or ():
        if each["name"] == task and each.get("attempts"):
            last = each["attempts"][-1]
            if last.get("podName") and not last.get("completionTime"):
                return str(last["podName"])
    raise CliError(
        f"no attempt of {task} waits for anything now", hint=f"see fairlead explain {_name(workflow)} {task}"
    )


def _task(workflow: _Object, name: str) -> _Object:
    """Return the definition of a task; {} where it is not known."""
    spec = workflow["spec"]
    wanted = name.partition("[")[0]
    for each in (*(spec.get("tasks") or ()), *(spec.get("finally") or ())):
        if each["name"] == wanted:
            found: _Object = each
            return found
    return {}


def _types(declared: Iterable[_Object] | None) -> dict[str, str]:
    return {each["name"]: each.get("type", "string") for each in declared or ()}


def _name(workflow: _Object) -> str:
    return str(workflow["metadata"]["name"])
