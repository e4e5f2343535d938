"""What our kinds have in common: the group they belong to, and the standard fields and conditions of an object."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field

from fairlead.api.fields import ApiModel

__all__ = ["ApiObject", "Condition", "Conditions", "Generation"]

#: The generation of a spec that a status or a condition belongs to.
Generation: TypeAlias = Annotated[int, Field(ge=0, le=2**53)]


class ApiObject(ApiModel):
    """An object of one of our kinds; each kind is a subclass, and one line of the table in `crd.py`."""

    GROUP: ClassVar[str] = "fairlead.dev"
    VERSION: ClassVar[str] = "v1alpha1"
    KIND: ClassVar[str]
    PLURAL: ClassVar[str]

    api_version: str = Field(default="fairlead.dev/v1alpha1", description="fairlead.dev/v1alpha1.")
    kind: str = Field(default="", description="The kind of the object.")
    metadata: dict[str, Any] = Field(default_factory=dict, description="Standard object metadata.")


class Condition(ApiModel):
    """A standard condition (metav1.Condition)."""

    type: Annotated[str, Field(min_length=1, max_length=316)] = Field(description="What it tells.")
    status: Literal["True", "False", "Unknown"] = Field(description="Whether it holds.")
    observed_generation: Generation | None = Field(
        default=None, description="The generation of the object that the condition was computed for."
    )
    last_transition_time: datetime = Field(description="When `status` last changed.")
    reason: Annotated[str, Field(min_length=1, max_length=1024)] = Field(description="Why, as a constant in CamelCase.")
    message: Annotated[str, Field(max_length=32_768)] = Field(description="Why, for people; may be empty.")


#: The one list that is merged by key: others may have conditions of their own there.
Conditions: TypeAlias = Annotated[
    list[Condition],
    Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
]
