"""`podRetention`: how long the pods and Jobs of a run stay once they have ended."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from fairlead.api.fields import ApiModel

__all__ = ["LEAST_SECONDS", "SUCCEEDED_SECONDS", "PodRetention"]

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
