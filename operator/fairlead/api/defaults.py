"""How `taskDefaults` and a task's own values become one: field by field, the task's own wins.

These work on plain JSON, so that the same merge serves the definition (to check it) and what it renders to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fairlead.api.task_retry import Backoff, Retry
from fairlead.api.work import MAIN_CONTAINER, KubernetesObject
from fairlead.engine import model

__all__ = ["backoff", "fill_container", "main_container", "merge_by", "merge_pod", "retry_policy"]

_Json = Mapping[str, Any]

_ENGINE_RETRY = model.RetryPolicy()


def merge_by(key: str, *lists: Sequence[_Json]) -> list[KubernetesObject]:
    """Join lists of named objects: a later one takes the place of an earlier one of the same name."""
    merged: dict[Any, KubernetesObject] = {}
    for items in lists:
        for item in items:
            merged[item.get(key)] = dict(item)
    return list(merged.values())


def merge_pod(default: _Json, own: _Json) -> KubernetesObject:
    """Return the pod fields of both: an own field takes the place of the default's as a whole."""
    return {**default, **own}


def fill_container(container: KubernetesObject, own_env: Sequence[_Json], defaults: _Json) -> None:
    """Complete a task's container in place with the task's `env` and with `defaults` (shaped as `taskDefaults`)."""
    if "image" in defaults:
        container.setdefault("image", defaults["image"])
    env = merge_by("name", defaults.get("env", ()), container.get("env", ()), own_env)
    if env:
        container["env"] = env
    mounts = merge_by("mountPath", defaults.get("volumeMounts", ()), container.get("volumeMounts", ()))
    if mounts:
        container["volumeMounts"] = mounts
    resources = {**defaults.get("resources", {}), **container.get("resources", {})}
    if resources:
        container["resources"] = resources


def main_container(pod: _Json) -> tuple[int, KubernetesObject] | None:
    """Return the container of a pod whose exit and outputs count, with its position, or None."""
    for index, container in enumerate(pod.get("containers", ())):
        if container.get("name") == MAIN_CONTAINER:
            return index, container
    return None


def retry_policy(own: Retry | None, default: Retry | None) -> model.RetryPolicy:
    """Return the retry policy of a task, but for its rules; what neither sets is the engine's own default."""

    def chosen(name: str, fallback: Any) -> Any:
        return _chosen(name, own, default, fallback)

    own_backoff, default_backoff = (retry.backoff if retry else None for retry in (own, default))
    return model.RetryPolicy(
        limit=chosen("limit", _ENGINE_RETRY.limit),
        infrastructure_limit=chosen("infrastructure_limit", _ENGINE_RETRY.infrastructure_limit),
        on_timeout=chosen("on_timeout", _ENGINE_RETRY.on_timeout),
        backoff=backoff(own_backoff, default_backoff),
    )


def backoff(
    own: Backoff | None, default: Backoff | None, *, otherwise: model.Backoff = _ENGINE_RETRY.backoff
) -> model.Backoff:
    """Return the delays of both, field by field; what neither sets is that of `otherwise`."""
    return model.Backoff(
        initial_seconds=_chosen("initial_seconds", own, default, otherwise.initial_seconds),
        factor=_chosen("factor", own, default, otherwise.factor),
        max_seconds=_chosen("max_seconds", own, default, otherwise.max_seconds),
        jitter=_chosen("jitter", own, default, otherwise.jitter),
    )


def _chosen(name: str, own: object | None, default: object | None, fallback: Any) -> Any:
    for source in (own, default):
        value = getattr(source, name, None)
        if value is not None:
            return value
    return fallback
