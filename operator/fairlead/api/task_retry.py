"""What a user may write about trying a task again."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fairlead.api.fields import ApiModel
from fairlead.engine.model import Jitter

__all__ = ["Backoff", "Retry"]


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


class Retry(ApiModel):
    """How often a task is tried again, by the cause of the failure."""

    limit: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        default=None, description="Retries after failures of the task itself, such as a non-zero exit code. Default: 0."
    )
    infrastructure_limit: Annotated[int, Field(ge=0, le=1000)] | None = Field(
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
