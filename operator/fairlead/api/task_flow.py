"""What a user may write about the course of a task: how often it runs, over which values, and what follows."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from fairlead.api.fields import ApiModel, Condition, Count, Identifier, JsonValue

__all__ = ["ForEach", "MaxParallel", "OnFailure", "OnNodeLost", "Repeat", "Tolerate"]

MaxParallel = Annotated[int, Field(ge=1, le=100_000)]


class OnFailure(StrEnum):
    """What the failure of a task means for the run."""

    FAIL = "Fail"
    CONTINUE = "Continue"


class Tolerate(ApiModel):
    """How many items may fail: one of `count` and `percent`."""

    count: Count | None = Field(default=None, description="So many items.")
    percent: Annotated[float, Field(ge=0, le=100)] | None = Field(
        default=None, description="So many of a hundred items, of all that there are."
    )


class ForEach(ApiModel):
    """One run of the task for each item of a list."""

    items: JsonValue = Field(
        alias="in",
        description="The list: written out, or one expression `${…}`. It is evaluated once, when the task becomes "
        "ready. An empty one means that the task is Skipped. At most 10,000 items.",
    )
    variable: Identifier | None = Field(
        default=None,
        alias="as",
        description="The name under which the task's expressions see the item, besides `item`. Its position, from 0, "
        "is `index`. With `batchSize` it is a list of items.",
    )
    when: Condition | None = Field(
        default=None, description="An expression `${…}` evaluated for each item; when it is false the item is Skipped."
    )
    max_parallel: MaxParallel | None = Field(
        default=None,
        description="How many items may run at the same time; `spec.overrides` may change it. Default: no limit of "
        "its own.",
    )
    tolerate: Tolerate | None = Field(
        default=None,
        description="How many items may fail without failing the task; `spec.overrides` may change it. Default: none.",
    )
    batch_size: Annotated[int, Field(ge=1, le=10_000)] | None = Field(
        default=None, description="How many items one run of the task gets together. Default: each is by itself."
    )


class Repeat(ApiModel):
    """The task is run again until a condition holds."""

    until: Condition = Field(
        description="An expression `${…}` evaluated after each success: it sees the `outputs` of that round, and "
        "`iteration`, from 1. In the next round the task's expressions see the outputs as `previous`."
    )
    max_iterations: Annotated[int, Field(ge=1, le=10_000)] = Field(
        description="How many rounds there may be. When the condition does not hold after that, the task fails."
    )
    delay_seconds: Annotated[int, Field(ge=0, le=2_147_483_647)] | None = Field(
        default=None, description="The time between two rounds. Default: 0."
    )


class OnNodeLost(ApiModel):
    """What is done about a pod on a node that does not answer any more."""

    replace_after_seconds: Annotated[int, Field(ge=0, le=2_147_483_647)] = Field(
        description="How long after its deletion was due such a pod is taken for gone, and the next attempt starts. "
        "Should the node still be running it, two attempts run at the same time."
    )
