"""How long what has ended stays: `podRetention` of a run's pods and Jobs, `historyLimits` of a template's runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fairlead.api.fields import ApiModel

__all__ = ["LEAST_SECONDS", "SUCCEEDED_SECONDS", "HistoryLimits", "PodRetention"]

#: For how long succeeded ones stay unless the user says otherwise.
SUCCEEDED_SECONDS = 600

#: Three lease times: a controller that has lost touch could create anew what is gone earlier.
LEAST_SECONDS = 45

_Seconds = Annotated[int, Field(ge=0, le=2_147_483_647)]


class PodRetention(ApiModel):
    """How long pods and Jobs stay once they have ended, for their logs to be read. At least 45 seconds."""

    succeeded_seconds: _Seconds | None = Field(
        default=None, description=f"Those that have succeeded. Default: {SUCCEEDED_SECONDS}."
    )
    failed_seconds: _Seconds | None = Field(
        default=None, description="Those that have not. Default: they stay until the run is deleted."
    )


_Kept = Annotated[int, Field(ge=0, le=100_000)]


class HistoryLimits(ApiModel):
    """How many runs that have ended are kept. The latest are; sub-workflows go with the run they belong to."""

    succeeded: _Kept | None = Field(default=None, description="Of those that have succeeded. Default: all of them.")
    failed: _Kept | None = Field(
        default=None, description="Of those that have failed, been cancelled or been refused. Default: all of them."
    )
