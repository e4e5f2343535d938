"""Which kinds the API server serves, and where: from the `apiVersion` and `kind` that a user wrote to a `Resource`.

What was found is kept for good: a kind's plural and scope do not change unless its definition is made anew, and
whoever finds it gone (`ApiError.is_unserved`) says so by `forget`. What was *not* found is asked for again each time,
as somebody may be about to install it; callers that ask at once share one request.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping

from .answers import object_in
from .errors import NotFound
from .resources import Resource
from .transport import ApiClient, JsonObject

__all__ = ["Discovery", "NoSuchKind"]

_API_VERSION = re.compile(r"(?:([a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?)/)?(v[a-z0-9]{1,62})")

# Groups that the API server implements itself: these take strategic merge patches. A group of the domain k8s.io may
# just as well be one of custom resources (gateway.networking.k8s.io). A group that is missing here, because it is new,
# is treated like custom resources, which is right as well, for merge patches are understood by all.
_BUILT_IN = frozenset(
    {
        "",
        "admissionregistration.k8s.io",
        "apps",
        "autoscaling",
        "batch",
        "certificates.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "events.k8s.io",
        "flowcontrol.apiserver.k8s.io",
        "networking.k8s.io",
        "node.k8s.io",
        "policy",
        "rbac.authorization.k8s.io",
        "resource.k8s.io",
        "scheduling.k8s.io",
        "storage.k8s.io",
    }
)


class NoSuchKind(Exception):
    """The API server serves no such kind. The message says what is missing, and what there is instead."""

    def __init__(self, api_version: str, kind: str, message: str) -> None:
        super().__init__(message)
        self.api_version = api_version
        self.kind = kind
        self.message = message


class Discovery:
    """Looks kinds up, as the operator itself: everybody who is authenticated may, unless somebody took that away."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._served: dict[str, Mapping[str, Resource]] = {}
        self._asking: dict[str, asyncio.Task[Mapping[str, Resource]]] = {}

    async def resource(self, api_version: str, kind: str) -> Resource:
        """Return where a kind lives.

        Raises:
            NoSuchKind: it is not served, or `api_version` is none.
            ApiError: the server cannot be asked.
        """
        found = self._served.get(api_version, {}).get(kind)
        if found is None:
            found = (await self._ask(api_version, kind)).get(kind)
        if found is None:
            near = next((each for each in self._served[api_version] if each.lower() == kind.lower()), None)
            hint = f"did you mean {near}?" if near else "is its CustomResourceDefinition installed?"
            raise NoSuchKind(api_version, kind, f"{api_version} has no kind {kind}: {hint}")
        return found

    def forget(self, resource: Resource) -> None:
        """Look a kind up again next time: a request for it was answered as if it were not served."""
        self._served.pop(resource.api_version, None)

    async def _ask(self, api_version: str, kind: str) -> Mapping[str, Resource]:
        asking = self._asking.get(api_version)
        if asking is None:
            match = _API_VERSION.fullmatch(api_version)
            if match is None:
                raise NoSuchKind(
                    api_version, kind, f"apiVersion {api_version!r} is none: it reads group/version, or v1"
                )
            # A task of its own: one caller that is cancelled does not take the answer from the others.
            asking = asyncio.create_task(self._read(match[1] or "", match[2]))
            self._asking[api_version] = asking
            asking.add_done_callback(lambda task: self._answered(api_version, task))
        try:
            served = await asyncio.shield(asking)
        except NotFound:
            self._served.pop(api_version, None)
            raise NoSuchKind(api_version, kind, await self._missing(api_version, kind)) from None
        self._served[api_version] = served
        return served

    def _answered(self, api_version: str, task: asyncio.Task[Mapping[str, Resource]]) -> None:
        self._asking.pop(api_version, None)
        if not task.cancelled():
            task.exception()  # nobody may be left to hear of it

    async def _read(self, group: str, version: str) -> Mapping[str, Resource]:
        listed = await self._get(f"/apis/{group}/{version}" if group else f"/api/{version}")
        return {
            each["kind"]: Resource(
                group, version, each["name"], each["kind"], bool(each["namespaced"]), strategic=group in _BUILT_IN
            )
            for each in listed.get("resources") or ()
            # Subresources (pods/eviction) are no kinds of their own, and what cannot be read is nothing to ask for.
            if "/" not in each["name"] and "get" in (each.get("verbs") or ())
        }

    async def _missing(self, api_version: str, kind: str) -> str:
        """Return what to say of a group version that is not there."""
        group = api_version.rpartition("/")[0]
        missing = f"the cluster does not serve {api_version}, so there is no kind {kind}"
        if not group:
            return missing
        try:
            versions = (await self._get(f"/apis/{group}")).get("versions") or []
        except NotFound:
            return f"{missing}: is its CustomResourceDefinition installed?"
        return f"{missing}; {group} is served as {', '.join(each['version'] for each in versions)}"

    async def _get(self, path: str) -> JsonObject:
        return object_in(await self._client.request("GET", path, verb="get", resource="discovery"))
