"""`WorkflowTemplate` v1alpha1: a definition that Workflows, and tasks of Workflows, run by its name."""

from __future__ import annotations

from typing import ClassVar

from pydantic import ConfigDict, Field

from fairlead.api.definition import Definition, Tasks
from fairlead.api.fields import ApiModel
from fairlead.api.objects import ApiObject, Conditions, Generation
from fairlead.api.retention import HistoryLimits
from fairlead.api.workflow import ONE_KIND

__all__ = ["OF_TEMPLATES_ALONE", "WorkflowTemplate", "WorkflowTemplateSpec", "WorkflowTemplateStatus"]

#: The fields of a template that are about all of its runs, and no part of what one of them runs.
OF_TEMPLATES_ALONE = frozenset({"historyLimits"})


class WorkflowTemplateSpec(Definition):
    """The definition. It may be changed at any time: a run keeps to the one that it began with."""

    tasks: Tasks = Field(
        description="The steps of the workflow, in any order; their `needs` form a directed acyclic graph."
    )
    history_limits: HistoryLimits | None = Field(
        default=None,
        description="How many Workflows of this template are kept once they have ended.",
    )


class WorkflowTemplateStatus(ApiModel):
    """Whether the definition can run."""

    observed_generation: Generation | None = Field(
        default=None, description="The generation of the spec that this status belongs to."
    )
    conditions: Conditions | None = Field(
        default=None,
        description="Valid: False when no run of it could start; the message says why. Stalled: the opposite.",
    )


class WorkflowTemplate(ApiObject):
    """A reusable definition: a Workflow, or a task of one, names it and gives values to its parameters."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": [*ONE_KIND.values()]})

    KIND: ClassVar[str] = "WorkflowTemplate"
    PLURAL: ClassVar[str] = "workflowtemplates"

    spec: WorkflowTemplateSpec = Field(description="The definition of runs, without values for its parameters.")
    status: WorkflowTemplateStatus | None = Field(
        default=None, description="What the operator thinks of the definition."
    )
