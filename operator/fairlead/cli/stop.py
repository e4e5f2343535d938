"""`fairlead stop`: end a run before its end."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from fairlead.cli.options import Context, Kubeconfig, Name, Namespace, Reason, Timeout

__all__ = ["EXAMPLES", "stop"]

EXAMPLES = (
    "fairlead stop nightly",
    "fairlead stop nightly --mode Cancel --wait",
)


class Mode(StrEnum):
    """The values of `--mode`."""

    GRACEFUL = "Graceful"
    CANCEL = "Cancel"
    TERMINATE = "Terminate"


def stop(
    name: Name,
    mode: Annotated[Mode, typer.Option("--mode", case_sensitive=False, help="How: see above.")] = Mode.GRACEFUL,
    reason: Reason = None,
    wait: Annotated[bool, typer.Option("-w", "--wait", help="Follow the run until it ends.")] = False,
    timeout: Timeout = 30,
    namespace: Namespace = None,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """End a run before its end.

    `Graceful` lets what runs finish and starts nothing new, `Cancel` ends what runs; both run `finally` then.
    `Terminate` ends what runs and leaves `finally` out. One that is being stopped can be stopped faster.

    Exit codes: 0 done, 1 refused, 2 wrong usage, 3 no answer.
    """
    from fairlead.cli.asking import Question, ask
    from fairlead.engine.model import ActionKind

    question = Question(
        name=name,
        action=ActionKind.STOP,
        fields={"mode": mode.value},
        any_end=True,
        reason=reason,
        wait=wait,
        timeout=timeout,
        namespace=namespace,
        kubeconfig=kubeconfig,
        context=context,
    )
    raise typer.Exit(ask(question))
