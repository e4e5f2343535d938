"""What can be asked of pods besides: to be bound to a node, to be evicted, to show a log."""

from __future__ import annotations

from collections.abc import Callable

from fairlead.kube.resources import ObjectKey, Resource

from .deleting import deleted
from .exchange import Answer, Object
from .reading import found
from .refusals import Refused, conflict, method_not_allowed, refusal, success
from .routes import Call, document
from .store import Store
from .writing import Writer

__all__ = ["LogSource", "answer_pod_call"]

_BINDINGS = Resource("", "v1", "pods/binding", "Binding")

#: What a container has logged so far; an answer where the node does not say.
LogSource = Callable[[ObjectKey, str], bytes | Answer]


def answer_pod_call(store: Store, writer: Writer, call: Call, logs: LogSource) -> Answer:
    """Answer a request for one of the subresources. Raises `Refused`."""
    match call.subresource, call.verb:
        case "binding", "create":
            return _bind(store, call)
        case "eviction", "create":
            return _evict(store, writer, call)
        case "log", "get":
            return _log(store, call, logs)
        case _:
            raise method_not_allowed()


def _bind(store: Store, call: Call) -> Answer:
    node = document(call.request)["target"]["name"]
    pod = found(store, call)
    if "deletionTimestamp" in pod["metadata"]:
        raise conflict(_BINDINGS, call.name, f"pod {call.name} is being deleted, cannot be assigned to a host")
    assigned = pod["spec"].get("nodeName")
    if assigned:
        raise conflict(_BINDINGS, call.name, f'pod {call.name} is already assigned to node "{assigned}"')
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": store.timestamp()}
    changed = {**pod, "spec": {**pod["spec"], "nodeName": node}, "status": _with_condition(pod, scheduled)}
    store.write(call.served, pod, changed, call.author, "binding")
    return success(201)


def _evict(store: Store, writer: Writer, call: Call) -> Answer:
    body = document(call.request)
    if writer.admit is not None and (answer := writer.admit(call.request, body)) is not None:
        raise Refused(answer)
    pod = found(store, call)
    disruption = {
        "type": "DisruptionTarget",
        "status": "True",
        "lastTransitionTime": store.timestamp(),
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
    if call.dry_run:
        return success(201)
    status = _with_condition(pod, disruption)
    if status != pod.get("status"):
        pod = store.write(call.served, pod, {**pod, "status": status}, call.author, "eviction")
    deleted(store, call.served, pod, body.get("deleteOptions") or {}, call.author)
    return success(201)


def _with_condition(pod: Object, condition: Object) -> Object:
    """The status with a condition; one that says the same already stays as it is."""
    status: Object = pod.get("status") or {}
    present: list[Object] = status.get("conditions") or []
    for each in present:
        if all(each.get(key) == condition.get(key) for key in ("type", "status", "reason", "message")):
            return status
    return {**status, "conditions": [*(each for each in present if each["type"] != condition["type"]), condition]}


def _log(store: Store, call: Call, logs: LogSource) -> Answer:
    pod = found(store, call)
    names = [each["name"] for each in pod["spec"].get("containers") or ()]
    container = call.query.get("container") or names[0]
    if container not in names and container not in [each["name"] for each in pod["spec"].get("initContainers") or ()]:
        message = f"container {container} is not valid for pod {call.name}"
        raise Refused(refusal(400, "BadRequest", message))
    text = logs(ObjectKey(call.namespace, call.name), container)
    if isinstance(text, Answer):
        raise Refused(text)
    tail = call.query.get("tailLines")
    if tail is not None:
        text = b"".join(text.splitlines(keepends=True)[-int(tail) :]) if int(tail) else b""
    limit = call.query.get("limitBytes")
    return Answer(code=200, text=text if limit is None else text[: int(limit)])
