from typing import Any

import pytest

from fairlead.api import crd
from fairlead.kube import resources
from fairlead.kube.resources import CONTROLLERREVISIONS, JOBS, NAMESPACES, PODS, WORKFLOWS, ObjectKey, Resource


@pytest.mark.parametrize(
    ("resource", "address", "path"),
    [
        (PODS, (None, None, None), "/api/v1/pods"),
        (PODS, ("ns", None, None), "/api/v1/namespaces/ns/pods"),
        (PODS, ("ns", "a", None), "/api/v1/namespaces/ns/pods/a"),
        (JOBS, ("ns", "a", "status"), "/apis/batch/v1/namespaces/ns/jobs/a/status"),
        (WORKFLOWS, ("ns", "w", "status"), "/apis/fairlead.dev/v1alpha1/namespaces/ns/workflows/w/status"),
        (CONTROLLERREVISIONS, ("ns", "r", None), "/apis/apps/v1/namespaces/ns/controllerrevisions/r"),
        (NAMESPACES, (None, "ns", None), "/api/v1/namespaces/ns"),
        (
            Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False),
            (None, "a/b:c", None),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/a%2Fb%3Ac",
        ),
    ],
)
def test_paths(resource: Resource, address: tuple[str | None, str | None, str | None], path: str) -> None:
    assert resource.path(*address) == path


@pytest.mark.parametrize(
    ("resource", "address", "complaint"),
    [
        (PODS, (None, "a", None), "needs its namespace"),
        (NAMESPACES, ("ns", "a", None), "cluster-scoped"),
        (PODS, ("ns", None, "status"), "needs a name"),
        (PODS, ("ns", "..", None), "something else"),
        (PODS, ("ns", ".", None), "something else"),
        (PODS, ("..", "a", None), "something else"),
    ],
)
def test_what_addresses_nothing(
    resource: Resource, address: tuple[str | None, str | None, str | None], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        resource.path(*address)


def test_names_for_manifests_and_people() -> None:
    assert (PODS.api_version, JOBS.api_version) == ("v1", "batch/v1")
    assert (PODS.qualified, JOBS.qualified) == ("pods", "jobs.batch")
    assert (str(ObjectKey("ns", "a")), str(ObjectKey("", "node"))) == ("ns/a", "node")


@pytest.mark.parametrize("document", crd.crds(), ids=lambda each: each["spec"]["names"]["kind"])
def test_our_kinds_are_where_their_definitions_say(document: dict[str, Any]) -> None:
    spec = document["spec"]
    [version] = spec["versions"]
    resource: Resource = getattr(resources, spec["names"]["plural"].upper())
    assert resource == Resource(
        spec["group"], version["name"], spec["names"]["plural"], spec["names"]["kind"], strategic=False
    )
