"""Objects of our kinds in every state that GitOps tools may meet them in, as the operator leaves them.

Each scene is the shipped operator at work in a cluster in memory (`fairlead.testing`), until an object is as its name
says; the object is kept as YAML. Health checks, actions and kstatus are judged by these, so none is written by hand.
Time is virtual and chance is seeded: the same code records the same bytes.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import yaml

from fairlead.testing.cluster import Cluster
from fairlead.testing.loop import run

from . import other_kinds, runs, shards
from .stage import RUN, TEMPLATE, Scene, Stage, act

__all__ = ["RECORDED", "recordings", "to_yaml"]

_Object = dict[str, Any]

#: Not of the state: versions grow with every request, also with those that only a newer operator sends.
_DROPPED = ("resourceVersion",)

#: The scenes of each kind; the name of a file is that of its scene.
RECORDED: dict[str, tuple[Scene, ...]] = {
    "Workflow": runs.SCENES,
    "WorkflowTemplate": other_kinds.TEMPLATES,
    "WorkflowAction": other_kinds.ACTIONS,
    "TaskStatusShard": shards.SHARDS,
}

#: Which object of a kind a scene is about; where it is not said, there is one only.
_NAMES = {"Workflow": RUN, "WorkflowTemplate": TEMPLATE, "WorkflowAction": f"{RUN}-retry"}


def recordings() -> dict[str, dict[str, str]]:
    """Return the recorded objects as YAML, by kind and file name."""
    with _quiet():
        return {
            kind: {_file_name(scene): _record(kind, scene) for scene in scenes} for kind, scenes in RECORDED.items()
        }


def to_yaml(obj: Mapping[str, Any]) -> str:
    """Return an object as the text of a file."""
    return yaml.safe_dump(dict(obj), sort_keys=False, width=120, default_flow_style=None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the operators of the scenes from logging: nothing that happens there has happened."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _file_name(scene: Scene) -> str:
    return scene.__name__.replace("_", "-") + ".yaml"


def _record(kind: str, scene: Scene) -> str:
    async def main() -> _Object:
        stage = Stage(Cluster(act, seed=1))
        resource = await scene(stage)
        [found] = [
            each for each in stage.cluster.list(resource) if _NAMES.get(kind) in (None, each["metadata"]["name"])
        ]
        await stage.cluster.close()
        return found

    found = run(main(), stall_at=100_000)
    assert found.get("kind") == kind, f"{scene.__name__} ends with a {kind}"
    metadata = {key: value for key, value in found["metadata"].items() if key not in _DROPPED}
    head = f"# {(scene.__doc__ or '').splitlines()[0]}\n# Recorded by `make gen`; do not edit.\n"
    return head + to_yaml({**found, "metadata": metadata})
