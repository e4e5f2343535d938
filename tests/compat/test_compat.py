"""What earlier releases have left in a cluster: it fits the CRDs, it compiles, and runs are gone on with.

The recorded objects are never changed. Where one of these tests has to be, that is a break of docs/compatibility.md.
"""

from __future__ import annotations

import asyncio
import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.compat.stage import NAME, end_of, program_of, to_its_end

from fairlead import __version__
from fairlead.api import labels
from fairlead.api.action import check_action
from fairlead.api.compile import check_template, compile_workflow
from fairlead.api.problems import InvalidSpec, Severity
from fairlead.expr.cel import CelEvaluator
from fairlead.kube.resources import (
    PODS,
    TASKSTATUSSHARDS,
    WORKFLOWACTIONS,
    WORKFLOWS,
    WORKFLOWTEMPLATES,
    Resource,
)
from fairlead.testing.apiserver.schemas import pruned, schema_of, violations
from fairlead.testing.cluster import Cluster
from fairlead.testing.loop import run

FOLDER = Path(__file__).resolve().parent
FILES = sorted(FOLDER.glob("v*/*.json"))

OURS = {each.kind: each for each in (WORKFLOWS, WORKFLOWTEMPLATES, WORKFLOWACTIONS, TASKSTATUSSHARDS)}

Json = dict[str, Any]

each_file = pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")


@cache
def recorded(file: Path) -> Json:
    found: Json = json.loads(file.read_text(encoding="utf-8"))
    return found


def of(file: Path, resource: Resource) -> list[Json]:
    return [each for each in recorded(file)["objects"] if each["kind"] == resource.kind]


def the_run(file: Path) -> Json:
    return next(each for each in of(file, WORKFLOWS) if each["metadata"]["name"] == NAME)


def test_this_release_is_recorded_in_every_state() -> None:
    from tests.compat.scenes import SCENES

    names = {file.stem for file in FILES if file.parent.name == f"v{__version__}"}
    assert names == {name.replace(" ", "-") for name in SCENES}


@each_file
def test_its_objects_fit_the_crds(file: Path) -> None:
    for obj in recorded(file)["objects"]:
        if obj["kind"] not in OURS:
            continue
        schema = schema_of(OURS[obj["kind"]])
        assert schema is not None
        assert [str(each) for each in violations(schema, obj, {})] == []
        assert pruned(schema, obj, {}) == obj, "a field is not known any more"


@each_file
def test_its_definitions_compile(file: Path) -> None:
    evaluator = CelEvaluator()
    for template in of(file, WORKFLOWTEMPLATES):
        problems = check_template(template["spec"], evaluator=evaluator)
        assert [each for each in problems if each.severity is Severity.ERROR] == []
    specs = {each["metadata"]["name"]: each["spec"] for each in of(file, WORKFLOWTEMPLATES)}
    for workflow in of(file, WORKFLOWS):
        spec = workflow["spec"]
        definition = specs.get((spec.get("templateRef") or {}).get("name"))
        try:
            compile_workflow(spec, evaluator=evaluator, name=NAME, namespace="default", definition=definition)
        except InvalidSpec:
            assert file.stem == "invalid"
        else:
            assert file.stem != "invalid"
    for action in of(file, WORKFLOWACTIONS):
        assert check_action(action["spec"]) == []


@each_file
def test_its_runs_are_gone_on_with_to_the_same_end(file: Path) -> None:
    """The operator as it is now comes after the one of that release, in the middle of whatever that did."""
    found = recorded(file)

    async def main() -> tuple[Json, list[str], list[str]]:
        cluster = Cluster(program_of(found["pods"]), seed=2)
        await asyncio.sleep(found["seconds"])
        for obj in deepcopy(found["objects"]):
            cluster.server.restore(obj)
        since = cluster.server.version
        await to_its_end(cluster, cluster.host(), found["then"])
        later = [change for change in cluster.server.journal if change.version > since]
        created = [change.key.name for change in later if change.verb == "create" and change.resource == PODS.plural]
        held = [
            pod["metadata"]["name"]
            for pod in cluster.list(PODS)
            if labels.FINALIZER in pod["metadata"].get("finalizers", ())
        ]
        await cluster.close()
        return end_of(cluster), created, held

    end, created, held = run(main(), stall_at=10**6)
    assert end == found["end"]
    before = {pod["metadata"]["name"] for pod in of(file, PODS)}
    assert not before & set(created), "an attempt was begun again"
    assert held == []
