"""What a user may write about trying a task again."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fairlead.api.embedded import Resources
from fairlead.api.fields import ApiModel, Condition, ExitCode
from fairlead.engine.model import Jitter

__all__ = ["Backoff", "Retry", "RetryRule"]

_Limit = Annotated[int, Field(ge=0, le=1000)]
_Reason = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]


class Backoff(ApiModel):
    """Delays between attempts."""

    initial_seconds: Annotated[int, Field(ge=0, le=86_400)] | None = Field(
        default=None, description="Delay before the first retry. Default: 10."
    )
    factor: Annotated[int, Field(ge=1, le=100)] | None = Field(
        default=None, description="What each delay is multiplied with to give the next. Default: 2."
    )
    max_seconds: Annotated[int, Field(ge=0, le=604_800)] | None = Field(
        default=None, description="The longest delay. Default: 300."
    )
    jitter: Annotated[Jitter, Field(strict=False)] | None = Field(
        default=None,
        description="How delays are spread: `None` keeps them exact, `Full` draws each evenly from 0 to the "
        "computed delay. Default: `None`.",
    )


class RetryRule(ApiModel):
    """What follows failures of one sort: those that fit every criterion given here. There must be at least one."""

    exit_codes: Annotated[list[ExitCode], Field(min_length=1, max_length=255)] | None = Field(
        default=None, description="Exit codes of the main container."
    )
    reasons: Annotated[list[_Reason], Field(min_length=1, max_length=64)] | None = Field(
        default=None,
        description="Reasons of the attempt's end as the status shows them, such as `OOMKilled`. Failures that are not "
        "the task's own are only met by a rule that names their reason.",
    )
    when: Condition | None = Field(
        default=None,
        description="An expression `${…}` that also sees the `attempt` that failed: `number`, `exitCode`, `class`, "
        "`reason` and `message`.",
    )
    limit: _Limit | None = Field(
        default=None, description="Retries after such failures, counted by themselves. Default: that of `retry`."
    )
    backoff: Backoff | None = Field(
        default=None, description="Delays after such failures. What is not set here is taken from `retry.backoff`."
    )
    resources: Resources | None = Field(
        default=None,
        description="What the attempts after such a failure have as `resources` of the main container, instead of its "
        "own: more memory after `OOMKilled`.",
    )


class Retry(ApiModel):
    """How often a task is tried again, by the cause of the failure."""

    limit: _Limit | None = Field(
        default=None, description="Retries after failures of the task itself, such as a non-zero exit code. Default: 0."
    )
    infrastructure_limit: _Limit | None = Field(
        default=None,
        description="Retries after failures that are not the task's, such as an eviction or a lost node; "
        "they are never charged to `limit`. Default: 5.",
    )
    on_timeout: bool | None = Field(
        default=None,
        description="Whether an attempt that ran into `timeoutSeconds` is tried again, charged to `limit`. "
        "Default: false.",
    )
    backoff: Backoff | None = Field(default=None, description="Delays between attempts.")
    rules: Annotated[list[RetryRule], Field(max_length=32)] | None = Field(
        default=None,
        description="Exceptions from the above by the sort of failure; the first rule that fits a failure counts.",
    )
