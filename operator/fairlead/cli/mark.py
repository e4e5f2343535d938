"""`fairlead mark`: say by hand how tasks have ended."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from fairlead.cli.options import Context, Kubeconfig, Name, Namespace, Reason, Tasks, Timeout, Values, Wait

__all__ = ["EXAMPLES", "mark"]

EXAMPLES = (
    "fairlead mark nightly load --as Succeeded -v rows=120 --reason 'loaded by hand'",
    "fairlead mark nightly audit --as Skipped",
)


class Outcome(StrEnum):
    """The values of `--as`."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    SKIPPED = "Skipped"


def mark(
    name: Name,
    tasks: Tasks,
    phase: Annotated[Outcome, typer.Option("--as", case_sensitive=False, help="How they have ended.")],
    value: Values = None,
    reason: Reason = None,
    wait: Wait = False,
    timeout: Timeout = 30,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Say by hand how tasks have ended.

    In a run that goes on, tasks that have not ended and have no attempt running. In a finished run, any: what depends
    on them is looked at again, in a next epoch. Who did it and when stays on record.

    Exit codes: 0 done, 1 refused (with --wait: or the run failed), 2 wrong usage, 3 no answer.
    """
    from fairlead.cli.asking import Question, ask
    from fairlead.cli.declared import outputs_of
    from fairlead.engine.model import ActionKind

    question = Question(
        name=name,
        action=ActionKind.MARK,
        fields={"tasks": tasks, "phase": phase.value},
        found=lambda workflow: outputs_of(workflow, tasks[0], value or ()),
        reason=reason,
        wait=wait,
        timeout=timeout,
        namespace=namespace,
        kubeconfig=kubeconfig,
        context=context,
    )
    raise typer.Exit(ask(question))
