"""A cluster as a user sees it: its Workflows, how one of them goes on, and what the user asks of them."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fairlead.api.resolution import merge_definition
from fairlead.api.shard import read_tasks
from fairlead.api.work import MAIN_CONTAINER
from fairlead.cli.exits import CliError, ExitCode
from fairlead.kube.credentials import CredentialsError, load_credentials
from fairlead.kube.errors import ApiError, Forbidden, Invalid, NotFound, Unauthorized, Unreachable
from fairlead.kube.lines import LineSplitter
from fairlead.kube.logs import read_log_lines
from fairlead.kube.resources import CONTROLLERREVISIONS, PODS, SELF_SUBJECT_REVIEWS, WORKFLOWS, ObjectKey, Resource
from fairlead.kube.session import Session
from fairlead.kube.shards import fetch_shards
from fairlead.kube.transport import ApiClient, PatchType

__all__ = ["Cluster", "Person", "connect"]

_Object = dict[str, Any]

_RETRY_SECONDS = 2.0
_TASKS_SECONDS = 5.0
_NAMES_SHOWN = 10
_HINT = "name a kubeconfig with --kubeconfig; to run a workflow without a cluster: fairlead run FILE --local"


@dataclass(frozen=True, slots=True)
class Person:
    """Who is at the keyboard, as the API server knows them."""

    username: str
    groups: tuple[str, ...] = ()


class Cluster:
    """A cluster at `host`, seen from one namespace; `client` asks with the user's own credentials."""

    def __init__(self, client: ApiClient, host: str, namespace: str) -> None:
        self.client = client
        self.host = host
        self.namespace = namespace
        #: What keeps a watch from getting on, for people; "" while all is well.
        self.trouble = ""

    async def read(self, name: str) -> _Object:
        """Return a Workflow; one of a template with the tasks that it runs in its spec, as far as they can be read.

        The tasks of a large run are in its status, as if they were there.

        Raises :class:`CliError`, for one that is not there with the names of those that are.
        """
        try:
            workflow = await self._with_tasks(await self.client.get(WORKFLOWS, name, self.namespace))
        except NotFound as error:
            raise await self._not_found(name) from error
        except ApiError as error:
            raise self.told(error) from error
        return await self._written_out(workflow)

    async def _written_out(self, workflow: _Object) -> _Object:
        definition = (workflow.get("status") or {}).get("definition")
        if definition is None:
            return workflow
        try:
            revision = await self.client.get(CONTROLLERREVISIONS, definition["revision"], self.namespace)
        except ApiError:
            return workflow  # it is the run that was asked for: without rights to the rest, that has to do
        return {**workflow, "spec": merge_definition(workflow["spec"], revision.get("data") or {})}

    async def who(self) -> Person:
        """Return who asks. Raises :class:`CliError`."""
        review = {"apiVersion": SELF_SUBJECT_REVIEWS.api_version, "kind": SELF_SUBJECT_REVIEWS.kind, "metadata": {}}
        try:
            user = (await self.client.create(SELF_SUBJECT_REVIEWS, review))["status"]["userInfo"]
        except ApiError as error:
            raise self.told(error) from error
        return Person(user["username"], tuple(user.get("groups") or ()))

    async def create(self, resource: Resource, body: Mapping[str, Any]) -> _Object:
        """Create an object in the namespace. Raises :class:`CliError`."""
        try:
            return await self.client.create(resource, body, self.namespace)
        except ApiError as error:
            raise self._refused(error, resource) from error

    async def edit(self, resource: Resource, name: str, changes: Mapping[str, Any]) -> _Object:
        """Change members of an object (a merge patch). Raises :class:`CliError`."""
        try:
            return await self.client.patch(resource, name, changes, PatchType.MERGE, self.namespace)
        except ApiError as error:
            raise self._refused(error, resource) from error

    async def logs(self, object_name: str, last: int | None) -> dict[str, bytes]:
        """Return what the main containers of an attempt have logged, by pod: of a pod, or of all pods of a Job.

        Empty where there is no such pod any more, or it has not started. Raises :class:`CliError`.
        """
        try:
            found = await self._log(object_name, last)
            if found is not None:
                return {object_name: found}
            selector = f"batch.kubernetes.io/job-name={object_name}"
            pods = [
                str(pod["metadata"]["name"])
                async for page in self.client.list_pages(
                    PODS, self.namespace, label_selector=selector, metadata_only=True
                )
                for pod in page.items
            ]
            read = {pod: await self._log(pod, last) for pod in pods}
        except Forbidden as error:
            raise CliError(f"not allowed: {error.message}", ExitCode.FAILED) from error
        except ApiError as error:
            raise self.told(error) from error
        return {pod: text for pod, text in read.items() if text is not None}

    async def _log(self, pod: str, last: int | None) -> bytes | None:
        try:
            return await read_log_lines(self.client, ObjectKey(self.namespace, pod), MAIN_CONTAINER, last=last)
        except NotFound:
            return None
        except ApiError as error:
            if error.status in (400, 500):  # not started yet; or the node has no log of it, or does not answer
                return None
            raise

    async def _with_tasks(self, workflow: _Object) -> _Object:
        status = workflow.get("status") or {}
        if "shards" not in status:
            return workflow
        metadata = workflow["metadata"]
        key = ObjectKey(self.namespace, metadata["name"])
        shards = await fetch_shards(self.client, key, metadata["uid"], status["shards"]["count"])
        return {**workflow, "status": {**status, "tasks": read_tasks(status, shards.found)}}

    async def follow(self, seen: _Object) -> AsyncGenerator[_Object, None]:
        """Yield a Workflow, with its tasks, as it is and each time it has changed, until it is deleted.

        The tasks of a large run change without it: they are read again every few seconds.
        """
        async with aclosing(self.follow_object(seen)) as found:
            change: asyncio.Future[_Object] | None = None
            try:
                while True:
                    change = change or asyncio.ensure_future(anext(found))
                    again = _TASKS_SECONDS if "shards" in (seen.get("status") or {}) else None
                    done, _ = await asyncio.wait({change}, timeout=again)
                    if done:
                        seen, change = change.result(), None
                    try:
                        yield await self._with_tasks(seen)
                    except ApiError as error:
                        if not error.is_transient:
                            raise self.told(error) from error
                        self.trouble = f"{self.host} does not answer, trying again: {error.message}"
            except StopAsyncIteration:
                return
            finally:
                if change is not None:
                    change.cancel()
                    await asyncio.wait({change})

    async def follow_object(self, seen: _Object, resource: Resource = WORKFLOWS) -> AsyncGenerator[_Object, None]:
        """Yield an object as it is and each time it has changed, over lost connections, until it is deleted."""
        yield seen
        uid = seen["metadata"]["uid"]
        while True:
            try:
                async with aclosing(self._watch(seen, resource)) as found:
                    async for each in found:
                        seen = each
                        yield seen
                # The watch has ended, as each does after a while: go on from what is there now.
                latest = await self.client.get(resource, seen["metadata"]["name"], self.namespace)
            except NotFound:
                return
            except ApiError as error:
                if not error.is_transient:
                    raise self.told(error) from error
                self.trouble = f"{self.host} does not answer, trying again: {error.message}"
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if latest["metadata"]["uid"] != uid:
                return  # deleted, and another one made by the same name
            self.trouble = ""
            if latest["metadata"]["resourceVersion"] != seen["metadata"]["resourceVersion"]:
                seen = latest
                yield seen

    async def _watch(self, seen: _Object, resource: Resource) -> AsyncGenerator[_Object, None]:
        """Yield the changes after `seen` until the server ends the watch or the object is deleted."""
        metadata = seen["metadata"]
        splitter = LineSplitter()
        async with self.client.watch(
            resource,
            self.namespace,
            resource_version=metadata["resourceVersion"],
            field_selector=f"metadata.name={metadata['name']}",
        ) as chunks:
            async for chunk in chunks:
                self.trouble = ""
                for line in splitter.feed(chunk):
                    event = json.loads(line)
                    if event["type"] in ("ADDED", "MODIFIED"):
                        yield event["object"]
                    elif event["type"] != "BOOKMARK":
                        return  # DELETED, or ERROR: mostly that the version is no longer known

    async def _not_found(self, name: str) -> CliError:
        names: list[str] = []
        try:
            async for page in self.client.list_pages(WORKFLOWS, self.namespace, metadata_only=True):
                names += [item["metadata"]["name"] for item in page.items]
        except NotFound:
            return CliError(
                f"{self.host} does not know Workflows", hint="install Fairlead there first: kubectl apply -f crds/"
            )
        except ApiError:
            return CliError(f"there is no Workflow {name!r} in namespace {self.namespace!r}")
        from fairlead.api.problems import did_you_mean
        from fairlead.engine.wording import few

        return CliError(
            f"there is no Workflow {name!r} in namespace {self.namespace!r}{did_you_mean(name, names)}",
            hint=f"there are: {few(names, _NAMES_SHOWN)}"
            if names
            else "there is none at all in this namespace; name another with -n",
        )

    def _refused(self, error: ApiError, resource: Resource) -> CliError:
        """Say why a write was refused."""
        match error:
            case Forbidden():
                return CliError(f"not allowed: {error.message}", ExitCode.FAILED)
            case Invalid():
                return CliError(error.message)
            case NotFound():
                return CliError(
                    f"{self.host} does not know {resource.kind}s, or the namespace {self.namespace!r}",
                    hint="bring Fairlead's definitions up to date there: kubectl apply -f crds/",
                )
            case _:
                return self.told(error)

    def told(self, error: ApiError) -> CliError:
        """Return what to end with when the cluster cannot be asked."""
        match error:
            case Unreachable():
                return CliError(f"{self.host} does not answer: {error.message}", ExitCode.UNREACHABLE)
            case Unauthorized():
                return CliError(f"{self.host} does not accept your credentials", ExitCode.UNREACHABLE)
            case _:
                return CliError(f"{self.host}: {error}", ExitCode.UNREACHABLE)


@asynccontextmanager
async def connect(kubeconfig: Path | None, context: str | None, namespace: str | None) -> AsyncIterator[Cluster]:
    """Open a connection with the user's own credentials. Raises :class:`CliError`."""
    _check_kubeconfig(kubeconfig)
    try:
        credentials = await load_credentials(kubeconfig=kubeconfig, context=context)
    except CredentialsError as error:
        raise CliError(
            f"there is no cluster to ask: {error}",
            ExitCode.UNREACHABLE,
            hint=_HINT,
        ) from error
    async with Session(credentials) as session:
        client = ApiClient(session, max_retries=1, max_retry_wait=2.0)
        yield Cluster(client, credentials.host, namespace or credentials.namespace or "default")


def _check_kubeconfig(given: Path | None) -> None:
    """Say it plainly when there is no kubeconfig, which is what happens on a new machine."""
    if given is not None:
        if not given.exists():
            raise CliError(f"--kubeconfig {given}: there is no such file", ExitCode.UNREACHABLE)
        return
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        return  # in a pod, which needs none
    named = os.environ.get("KUBECONFIG")
    files = [Path(name) for name in named.split(os.pathsep) if name] if named else [Path.home() / ".kube/config"]
    if not any(file.exists() for file in files):
        where = f"$KUBECONFIG names {named}" if named else f"{files[0]} does not exist and $KUBECONFIG is not set"
        raise CliError(f"there is no kubeconfig: {where}", ExitCode.UNREACHABLE, hint=_HINT)
