"""What `fairlead doctor` reads of a cluster: what it may not, or cannot, read is noted, and the rest is read on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from fairlead.api import crd, labels
from fairlead.kube.errors import ApiError, NotFound, Unauthorized, Unreachable
from fairlead.kube.logs import read_log_end
from fairlead.kube.resources import (
    ADMISSION_POLICIES,
    EVENTS,
    JOBS,
    LEASES,
    PODS,
    TASKSTATUSSHARDS,
    WORKFLOWACTIONS,
    WORKFLOWS,
    WORKFLOWTEMPLATES,
    ObjectKey,
    Resource,
)
from fairlead.kube.transport import ApiClient

__all__ = ["CRDS", "DEPLOYMENTS", "Gathered", "OperatorPod", "gather"]

_Object = dict[str, Any]

CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
WEBHOOKS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)

#: By which labels the chart's objects are known.
OPERATOR = "app.kubernetes.io/part-of=fairlead,app.kubernetes.io/component=operator"
CHART = "app.kubernetes.io/part-of=fairlead"

_OF_RUNS = (WORKFLOWS, WORKFLOWTEMPLATES, WORKFLOWACTIONS, TASKSTATUSSHARDS, EVENTS)
_OF_ATTEMPTS = (PODS, JOBS)

#: Objects of a kind that are taken along at most: of those that have ended, the latest.
_MOST = 2000
_LOG_BYTES = 8 * 1024 * 1024


@dataclass(slots=True)
class OperatorPod:
    """A pod of the operator: the object, and what it has to tell."""

    raw: _Object
    log: str = ""
    previous_log: str = ""
    metrics: str = ""
    ready: str = ""


@dataclass(slots=True)
class Gathered:
    """All that was read; `problems` has what could not be, and `left_out` how many objects there were besides."""

    server: Mapping[str, Any] = field(default_factory=dict)
    crds: list[_Object] = field(default_factory=list)
    installed: dict[str, list[_Object]] = field(default_factory=dict)
    operators: list[OperatorPod] = field(default_factory=list)
    objects: dict[Resource, list[_Object]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


async def gather(client: ApiClient, namespace: str | None, operator_namespace: str | None) -> Gathered:
    """Read a cluster: runs of a namespace, None for all of them, and the operator, wherever it is.

    Raises `Unreachable` or `Unauthorized` where the cluster cannot be asked at all.
    """
    found = Gathered()
    reader = _Reader(client, found)
    found.server = await reader.version()
    names = [each["metadata"]["name"] for each in crd.crds()]
    found.crds = [each for name in names if (each := await reader.get(CRDS, name)) is not None]
    for resource, selector in ((DEPLOYMENTS, CHART), (WEBHOOKS, CHART)):
        found.installed[resource.plural] = await reader.all(
            resource, operator_namespace if resource.namespaced else None, selector
        )
    policy = await reader.get(ADMISSION_POLICIES, "fairlead-requested-by")
    found.installed[ADMISSION_POLICIES.plural] = [policy] if policy else []
    pods = await reader.all(PODS, operator_namespace, OPERATOR)
    if pods:
        found.installed[LEASES.plural] = await reader.all(LEASES, pods[0]["metadata"]["namespace"], labels.LEASE)
    found.operators = [await reader.operator(pod) for pod in pods]
    for resource in _OF_RUNS:
        found.objects[resource] = await reader.all(resource, namespace)
    for resource in _OF_ATTEMPTS:
        found.objects[resource] = await reader.all(resource, namespace, labels.RUN_UID)
    ours = {each["metadata"].get("uid") for objects in found.objects.values() for each in objects}
    # Events of everything else in the namespaces are nobody's business here.
    found.objects[EVENTS] = [
        each for each in found.objects[EVENTS] if (each.get("involvedObject") or {}).get("uid") in ours
    ]
    return found


class _Reader:
    """Reads, and notes what cannot be read."""

    def __init__(self, client: ApiClient, found: Gathered) -> None:
        self._client = client
        self._found = found

    async def version(self) -> Mapping[str, Any]:
        answer = await self._client.request("GET", "/version", verb="get", resource="version")
        version: Mapping[str, Any] = orjson.loads(answer)
        return version

    async def get(self, resource: Resource, name: str) -> _Object | None:
        try:
            return {
                "apiVersion": resource.api_version,
                "kind": resource.kind,
                **await self._client.get(resource, name),
            }
        except NotFound:
            return None
        except ApiError as error:
            self._note(f"{resource.plural} {name}", error)
            return None

    async def all(self, resource: Resource, namespace: str | None, selector: str | None = None) -> list[_Object]:
        items: list[_Object] = []
        try:
            async for page in self._client.list_pages(resource, namespace, label_selector=selector):
                items += [{"apiVersion": resource.api_version, "kind": resource.kind, **each} for each in page.items]
        except ApiError as error:
            self._note(resource.plural, error)
        if len(items) > _MOST:
            self._found.left_out.append(f"{len(items) - _MOST} of {len(items)} {resource.plural}")
            items.sort(key=_ended_and_old)
            del items[_MOST:]
        return items

    async def operator(self, raw: _Object) -> OperatorPod:
        pod = OperatorPod(raw)
        pod.log = await self._log(raw)
        restarts = sum(each.get("restartCount", 0) for each in raw.get("status", {}).get("containerStatuses") or ())
        if restarts:
            pod.previous_log = await self._log(raw, previous=True)
        pod.metrics = await self._page(raw, "metrics")
        pod.ready = await self._page(raw, "readyz")
        return pod

    async def _log(self, raw: _Object, *, previous: bool = False) -> str:
        metadata = raw["metadata"]
        key, container = ObjectKey(metadata["namespace"], metadata["name"]), raw["spec"]["containers"][0]["name"]
        try:
            log = await read_log_end(self._client, key, container, limit_bytes=_LOG_BYTES, previous=previous)
        except ApiError as error:
            self._note(f"log of pod {key.name}", error)
            return ""
        return log.decode("utf-8", "replace")

    async def _page(self, raw: _Object, page: str) -> str:
        """Return a page that a pod serves, by way of the API server."""
        metadata = raw["metadata"]
        path = f"{PODS.path(metadata['namespace'], metadata['name'])}:{_port_of(raw)}/proxy/{page}"
        try:
            answer = await self._client.request("GET", path, verb="get", resource="pods/proxy", accept="*/*")
        except ApiError as error:
            if page == "readyz" and error.status in (500, 503):  # and the answer says why
                return error.message or str(error)
            self._note(f"{page} of pod {metadata['name']}", error)
            return ""
        return answer.decode("utf-8", "replace")

    def _note(self, what: str, error: ApiError) -> None:
        if isinstance(error, (Unreachable, Unauthorized)):
            raise error
        self._found.problems.append(f"{what}: {error.message or error}")


def _port_of(pod: _Object) -> str:
    ports = [each for container in pod["spec"]["containers"] for each in container.get("ports") or ()]
    return next((str(each["containerPort"]) for each in ports if each.get("name") == "metrics"), "8080")


def _ended_and_old(raw: _Object) -> tuple[bool, str]:
    """Order objects so that those go first that have not ended, then the latest."""
    status = raw.get("status") or {}
    ended = status.get("phase") in ("Succeeded", "Failed", "Cancelled") or bool(status.get("completionTime"))
    created = str(raw["metadata"].get("creationTimestamp", ""))
    return ended, "".join(chr(0x10FFFF - ord(each)) for each in created)
