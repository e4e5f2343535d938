"""Presets: when an object of a well-known kind has succeeded or failed, so that a `resource` task need not say it.

Each is a row of one table, of CEL expressions over `object`. None of them is true of a status that may still change
its mind, which is where each kind has its own trap; the comments name it, and `tests/unit/api/recorded` has the
sequences of statuses that the kinds' own controllers write. A status about an older generation is judged by nobody:
whoever follows the object sees to that. None of them fails for a field that is not there yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

__all__ = ["PRESETS", "NameRule", "Preset", "PresetName", "advice", "name_rule", "preset_for", "refusals"]

_Json = Mapping[str, Any]
_Path = tuple[str, ...]


class PresetName(StrEnum):
    """The presets that there are."""

    JOB = "Job"
    JOB_SET = "JobSet"
    WORKFLOW = "Workflow"
    SPARK_APPLICATION = "SparkApplication"
    FLINK_DEPLOYMENT = "FlinkDeployment"
    FLINK_SESSION_JOB = "FlinkSessionJob"
    RAY_JOB = "RayJob"
    PYTORCH_JOB = "PyTorchJob"
    TRAIN_JOB = "TrainJob"
    VOLCANO_JOB = "VolcanoJob"


@dataclass(frozen=True, slots=True)
class NameRule:
    """What the controller of a kind asks of a name, since it appends to it: its length, and to begin with a letter."""

    limit: int | None = None
    letter_first: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """A value in a manifest with which the object would never end, or end otherwise than it seems. None: not there."""

    path: _Path
    value: Any
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One kind.

    success, failure, message
        CEL: whether it has succeeded, whether it has failed for good, and the words for a failure.
    refused
        what must not be in a manifest.
    retries
        where the kind has retries of its own, which multiply with the task's; and how many there are by default.
    lifetime
        where the kind can be told to delete its objects once they have ended: then their end may be missed.
    lingers
        where it has to be told to let go of what it used, the value that does, and what stays otherwise.
    """

    name: PresetName
    api_version: str
    kind: str
    success: str
    failure: str
    message: str
    names: NameRule = NameRule()
    refused: tuple[Refusal, ...] = ()
    retries: tuple[_Path, int] | None = None
    lifetime: _Path | None = None
    lingers: tuple[_Path, str, str] | None = None

    @property
    def group(self) -> str:
        """The API group of the kind."""
        return self.api_version.partition("/")[0]


def _condition(name: str, status: str = "True") -> str:
    return f"object.?status.?conditions.orValue([]).exists(c, c.type == '{name}' && c.status == '{status}')"


def _words_of(condition: str, status: str = "True") -> str:
    """Return the expression of `Reason: message` of a condition."""
    return (
        f"object.?status.?conditions.orValue([]).filter(c, c.type == '{condition}' && c.status == '{status}')"
        ".map(c, c.?reason.orValue('Failed') + ': ' + c.?message.orValue('')).join('; ')"
    )


def _field(path: str, default: str = "''") -> str:
    """Return the expression of a field of the status."""
    return "object.?status" + "".join(f".?{name}" for name in path.split(".")) + f".orValue({default})"


def _is(path: str, *values: str) -> str:
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{_field(path)} in [{listed}]"


def _state_and(state: str, more: str) -> str:
    """Return the expression of the words for a failure: the state, and what else is said about it."""
    return f"{_field(state, _UNKNOWN)} + ({_field(more)} == '' ? '' : ': ' + {_field(more)})"


_UNKNOWN = "'Failed'"
_LABEL = NameRule(limit=40, letter_first=True)

_FLINK_CONFIGURATION = ("spec", "flinkConfiguration")

#: The operator writes FINISHED as well when it suspends a job or takes its cluster down; only STABLE beside it tells
#: that the job came to its own end. (`lifecycleState` has no value for that.)
_FLINK_SESSION_JOB = Preset(
    name=PresetName.FLINK_SESSION_JOB,
    api_version="flink.apache.org/v1beta1",
    kind="FlinkSessionJob",
    success=f"{_is('jobStatus.state', 'FINISHED')} && {_is('lifecycleState', 'STABLE')}",
    failure=f"{_is('lifecycleState', 'FAILED', 'ROLLED_BACK')} || {_is('jobStatus.state', 'FAILED', 'CANCELED')}",
    message=f"({_field('jobStatus.state')} == '' ? '' : 'job ' + {_field('jobStatus.state')} + ', ') + 'lifecycle ' + "
    + _state_and("lifecycleState", "error"),
    names=NameRule(limit=45, letter_first=True),
    refused=(
        Refusal(
            (*_FLINK_CONFIGURATION, "kubernetes.operator.job.restart.failed"),
            "true",
            "a job that has failed would be started again and again; use the task's `retry`",
        ),
        Refusal(("spec", "job", "state"), "suspended", "a suspended job never ends"),
    ),
)
_FLINK_DEPLOYMENT = replace(
    _FLINK_SESSION_JOB,
    name=PresetName.FLINK_DEPLOYMENT,
    kind="FlinkDeployment",
    refused=(
        *_FLINK_SESSION_JOB.refused,
        Refusal(("spec", "job"), None, "without a job it is a session cluster, which never ends"),
    ),
    lingers=(
        (*_FLINK_CONFIGURATION, "kubernetes.operator.jm-deployment.shutdown-ttl"),
        "60 s",
        "the JobManager of a finished job stays up for a day",
    ),
)
_SPARK_STATE = "applicationState.state"

_ALL = (
    # SuccessCriteriaMet and FailureTarget come first, while pods still run: they are not the end.
    Preset(
        name=PresetName.JOB,
        api_version="batch/v1",
        kind="Job",
        success=_condition("Complete"),
        failure=_condition("Failed"),
        message=_words_of("Failed"),
        retries=(("spec", "backoffLimit"), 6),
        lifetime=("spec", "ttlSecondsAfterFinished"),
    ),
    Preset(
        name=PresetName.JOB_SET,
        api_version="jobset.x-k8s.io/v1alpha2",
        kind="JobSet",
        # terminalState is younger than the conditions.
        success=f"{_is('terminalState', 'Completed')} || {_condition('Completed')}",
        failure=f"{_is('terminalState', 'Failed')} || {_condition('Failed')}",
        message=_words_of("Failed"),
        names=_LABEL,
        retries=(("spec", "failurePolicy", "maxRestarts"), 0),
        lifetime=("spec", "ttlSecondsAfterFinished"),
    ),
    # Finished is False in a new epoch, and Succeeded Unknown: nothing else is asked.
    Preset(
        name=PresetName.WORKFLOW,
        api_version="fairlead.dev/v1alpha1",
        kind="Workflow",
        success=_condition("Succeeded"),
        failure=_condition("Succeeded", "False"),
        message=_words_of("Succeeded", "False"),
        lifetime=("spec", "ttlSecondsAfterFinished"),
    ),
    # SUBMISSION_FAILED, FAILING and PENDING_RERUN are followed by another try or by FAILED, SUCCEEDING by either.
    Preset(
        name=PresetName.SPARK_APPLICATION,
        api_version="sparkoperator.k8s.io/v1beta2",
        kind="SparkApplication",
        success=_is(_SPARK_STATE, "COMPLETED"),
        failure=_is(_SPARK_STATE, "FAILED"),
        message=_state_and(_SPARK_STATE, "applicationState.errorMessage"),
        names=NameRule(letter_first=True),
        refused=(
            Refusal(
                ("spec", "restartPolicy", "type"),
                "Always",
                "it would be run again after each end and so never complete; set `Never` and use the task's `retry`",
            ),
        ),
        retries=(("spec", "restartPolicy", "onFailureRetries"), 0),
        lifetime=("spec", "timeToLiveSeconds"),
    ),
    _FLINK_DEPLOYMENT,
    _FLINK_SESSION_JOB,
    # A job that somebody stopped is Complete and STOPPED; ValidationFailed is no end in the operator's own list, and
    # yet nothing follows it. Retrying follows a failure that has another try. `observedGeneration` is never written.
    Preset(
        name=PresetName.RAY_JOB,
        api_version="ray.io/v1",
        kind="RayJob",
        success=f"{_is('jobDeploymentStatus', 'Complete')} && {_is('jobStatus', 'SUCCEEDED')}",
        failure=f"{_is('jobDeploymentStatus', 'Failed', 'ValidationFailed')} || "
        f"({_is('jobDeploymentStatus', 'Complete')} && {_is('jobStatus', 'STOPPED', 'FAILED')})",
        message=f"({_field('reason')} == '' ? {_field('jobStatus', _UNKNOWN)} : {_field('reason')}) + "
        f"({_field('message')} == '' ? '' : ': ' + {_field('message')})",
        names=NameRule(limit=47, letter_first=True),
        retries=(("spec", "backoffLimit"), 0),
        lingers=(
            ("spec", "shutdownAfterJobFinishes"),
            "true",
            "the Ray cluster stays up until the run is deleted",
        ),
    ),
    # A pod that is restarted makes Restarting true, and Failed false again.
    Preset(
        name=PresetName.PYTORCH_JOB,
        api_version="kubeflow.org/v1",
        kind="PyTorchJob",
        success=_condition("Succeeded"),
        failure=_condition("Failed"),
        message=_words_of("Failed"),
        names=_LABEL,
        retries=(("spec", "runPolicy", "backoffLimit"), 0),
        lifetime=("spec", "runPolicy", "ttlSecondsAfterFinished"),
    ),
    Preset(
        name=PresetName.TRAIN_JOB,
        api_version="trainer.kubeflow.org/v1alpha1",
        kind="TrainJob",
        success=_condition("Complete"),
        failure=_condition("Failed"),
        message=_words_of("Failed"),
        names=_LABEL,
    ),
    # Completing, Aborting and Terminating still have pods.
    Preset(
        name=PresetName.VOLCANO_JOB,
        api_version="batch.volcano.sh/v1alpha1",
        kind="Job",
        success=_is("state.phase", "Completed"),
        failure=_is("state.phase", "Failed", "Aborted", "Terminated"),
        message=_state_and("state.phase", "state.message"),
        names=_LABEL,
        retries=(("spec", "maxRetry"), 3),
        lifetime=("spec", "ttlSecondsAfterFinished"),
    ),
)

#: By name.
PRESETS: dict[PresetName, Preset] = {preset.name: preset for preset in _ALL}

_BY_KIND = {(preset.group, preset.kind): preset for preset in _ALL}

#: A cluster of its own is no task, but its names are as short.
_MORE_NAMES = {("ray.io", "RayCluster"): PRESETS[PresetName.RAY_JOB].names}


def name_rule(group: str, kind: str) -> NameRule:
    """Return what the controller of a kind asks of a name; nothing, of one that is not known."""
    preset = _BY_KIND.get((group, kind))
    return preset.names if preset else _MORE_NAMES.get((group, kind), NameRule())


def preset_for(manifest: _Json) -> Preset | None:
    """Return the preset that would do for a manifest."""
    return next(
        (each for each in _ALL if (each.api_version, each.kind) == (manifest.get("apiVersion"), manifest.get("kind"))),
        None,
    )


def refusals(preset: Preset, manifest: _Json) -> Iterator[tuple[str, str]]:
    """Yield what must not be in a manifest, as places in it (`spec.restartPolicy.type`) and reasons."""
    for refused in preset.refused:
        value = _at(manifest, refused.path)
        if value == refused.value and type(value) is type(refused.value):
            what = "is required" if refused.value is None else f"must not be {_shown(refused.value)}"
            yield _spelt(refused.path), f"{what}: {refused.why}"


def advice(preset: Preset, manifest: _Json, *, retry_limit: int) -> Iterator[tuple[str, str]]:
    """Yield what had better be otherwise in a manifest, as places in it and words."""
    if preset.retries is not None and retry_limit:
        path, default = preset.retries
        own = _at(manifest, path)
        if (default if own is None else own) != 0:
            shown = f"{default} unless set" if own is None else own
            words = (
                f"the {preset.kind}'s own retries ({shown}) multiply with the task's `retry.limit` ({retry_limit}); "
                "set one of them to 0"
            )
            yield _spelt(path), words
    if preset.lifetime is not None and _at(manifest, preset.lifetime) is not None:
        words = (
            f"a {preset.kind} that is gone before its end was recorded counts as deleted; leave this out: it goes "
            "with the run"
        )
        yield _spelt(preset.lifetime), words
    if preset.lingers is not None:
        path, value, what = preset.lingers
        if _at(manifest, path) in (None, False):
            yield _spelt(path), f"is not set to {value}: {what}"


def _at(manifest: _Json, path: _Path) -> Any:
    value: Any = manifest
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _spelt(path: _Path) -> str:
    return "".join(f"[{name}]" if "." in name else f".{name}" for name in path).removeprefix(".")


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
