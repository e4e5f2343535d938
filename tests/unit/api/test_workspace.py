"""`workspace`: what of it is refused, and what it must not be in the way of."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.definitions import compiled, job, problems, spec, task

MOUNTED = {"image": "x", "volumeMounts": [{"name": "v", "mountPath": "/workspace/"}]}
POD = {"volumes": [{"name": "v", "emptyDir": {}}]}


def test_a_workspace() -> None:
    workspace = compiled(spec(workspace={"size": "10Gi", "accessModes": ["ReadWriteMany"]})).workspace
    assert workspace is not None
    assert (workspace.size, workspace.access_modes, workspace.place) == ("10Gi", ["ReadWriteMany"], "/workspace")
    assert compiled(spec()).workspace is None


@pytest.mark.parametrize(
    ("workspace", "field", "message"),
    [
        ({"size": "ten"}, "size", "must be a quantity such as 500Mi or 10Gi, not 'ten'"),
        ({"size": "0"}, "size", "must be greater than 0"),
        ({"size": "-1Gi"}, "size", "must be greater than 0"),
        ({}, "size", "is required"),
        ({"size": "1Gi", "accessModes": ["ReadOnlyMany"]}, "accessModes[0]", "ReadWriteOnce"),
        ({"size": "1Gi", "accessModes": ["ReadWriteOnce"] * 2}, "accessModes", "must name each mode once"),
        ({"size": "1Gi", "mountPath": "data"}, "mountPath", "must be an absolute path"),
        ({"size": "1Gi", "mountPath": "/"}, "mountPath", "must be an absolute path other than /"),
        ({"size": "1Gi", "mountPath": "/a/../b"}, "mountPath", "must be an absolute path"),
        ({"size": "1Gi", "mountPath": "/fairlead/x"}, "mountPath", "which is Fairlead's"),
    ],
)
def test_what_is_wrong_with_it(workspace: dict[str, Any], field: str, message: str) -> None:
    found = problems(spec(workspace=workspace))
    assert list(found) == [f"spec.workspace.{field}"]
    assert message in found[f"spec.workspace.{field}"]


@pytest.mark.parametrize(
    ("definition", "field"),
    [
        (spec(task(container=MOUNTED, pod=POD)), "spec.tasks[0].container.volumeMounts[0].mountPath"),
        (
            spec(task(job=job(pod={"containers": [{"name": "main", **MOUNTED}], **POD}))),
            "spec.tasks[0].job.spec.template.spec.containers[0].volumeMounts[0].mountPath",
        ),
        (
            spec(task(), taskDefaults={"volumeMounts": MOUNTED["volumeMounts"], "pod": POD}),
            "spec.taskDefaults.volumeMounts[0].mountPath",
        ),
        (spec(task(files=[{"path": "/workspace", "value": ""}])), "spec.tasks[0].files[0].path"),
    ],
)
def test_what_is_mounted_in_its_place(definition: dict[str, Any], field: str) -> None:
    assert problems(definition) == {}
    found = problems({**definition, "workspace": {"size": "1Gi"}})
    assert list(found) == [field]
    assert "is taken: spec.workspace is mounted there" in found[field]
