"""GET and LIST: one object, or the objects of a kind page by page, as a whole or their metadata only.

A page holds what there was at the version of the first one, as long as that is not compacted.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable

import orjson

from .exchange import Answer, Object
from .refusals import bad_request, expired, not_found, version_too_large
from .routes import Call
from .selectors import Selector, select
from .store import Store

__all__ = ["found", "get", "list_", "metadata_of", "selector_of", "shown", "version_in"]

_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


_TOO_OLD = "The resourceVersion for the provided list is too old."


def metadata_of(obj: Object) -> Object:
    """Return an object as PartialObjectMetadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def shown(call: Call, obj: Object) -> Object:
    """Return an object in the form that was asked for."""
    return metadata_of(obj) if call.metadata_only else obj


def found(store: Store, call: Call) -> Object:
    """Return the object that is asked for. Raises `Refused`: there is none."""
    obj = store.get(call.served, call.namespace, call.name)
    if obj is None:
        raise not_found(call.served.resource, call.name)
    return obj


def get(store: Store, call: Call) -> Answer:
    """Answer a GET of one object."""
    return Answer(code=200, body=shown(call, found(store, call)))


def selector_of(call: Call) -> Selector | None:
    """Return what the query selects; None is everything."""
    query = call.query
    return select(query.get("labelSelector", ""), query.get("fieldSelector", ""), call.served.fields)


def version_in(call: Call) -> int | None:
    """Return the resourceVersion of the query; None if it names none."""
    text = call.query.get("resourceVersion", "")
    if not text:
        return None
    if not text.isdecimal():
        raise bad_request(f"invalid resource version {text!r}")
    return int(text)


def list_(store: Store, call: Call) -> Answer:
    """Answer a LIST."""
    # One object is looked up, not searched for: there is no second page.
    single = call.namespace and "metadata.name=" in call.query.get("fieldSelector", "")
    limit = 0 if single else int(call.query.get("limit") or 0)
    token = call.query.get("continue", "")
    version, start = store.version, ""
    asked = version_in(call)
    if token:
        version, start = _resumed(store, token, asked)
    elif asked is not None and asked > store.version:
        raise version_too_large(asked, store.version)
    elif asked and _is_exact(call, limit):
        if asked < store.compacted:
            raise expired(_TOO_OLD)
        version = asked
    select_ = selector_of(call)
    metadata: Object = {"resourceVersion": str(version)}
    if not limit and not start:
        chosen = [obj for obj in store.all_at(call.served, call.namespace, version) if select_ is None or select_(obj)]
        chosen.sort(key=_order)
        return Answer(code=200, body=_listed(call, metadata, chosen))
    there = sorted(store.all_at(call.served, call.namespace, version), key=_order)
    there = [obj for obj in there if _order(obj) >= start]
    chosen = []
    for index, obj in enumerate(there):
        if limit and len(chosen) == limit:  # whether what is left is selected, the real one does not look either
            metadata["continue"] = _token(version, _order(chosen[-1]) + "\0")
            if select_ is None:
                metadata["remainingItemCount"] = len(there) - index
            break
        if select_ is None or select_(obj):
            chosen.append(obj)
    return Answer(code=200, body=_listed(call, metadata, chosen))


def _is_exact(call: Call, limit: int) -> bool:
    """Tell whether a list is to be of the version that it names, not of one that is at least as new.

    Source: "Resource versions", the table of LIST in the API concepts.
    """
    match = call.query.get("resourceVersionMatch", "")
    return match == "Exact" or (not match and limit > 0)


def _listed(call: Call, metadata: Object, objects: Iterable[Object]) -> Object:
    resource = call.served.resource
    if call.metadata_only:
        envelope = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
        items = [metadata_of(obj) for obj in objects]
    else:
        envelope = {"kind": f"{resource.kind}List", "apiVersion": resource.api_version}
        # The items of built-in kinds do not say what they are; those of custom resources do.
        items = list(objects) if call.served.custom else [_bare(obj) for obj in objects]
    return {**envelope, "metadata": metadata, "items": items}


def _bare(obj: Object) -> Object:
    return {key: value for key, value in obj.items() if key not in ("apiVersion", "kind")}


def _order(obj: Object) -> str:
    """The order of etcd's keys, which is not that of the pair: `-` comes before `/`."""
    meta = obj["metadata"]
    return f"{meta['namespace']}/{meta['name']}" if "namespace" in meta else str(meta["name"])


def _token(version: int, start: str) -> str:
    token = {"v": "meta.k8s.io/v1", "rv": version, "start": start}
    return base64.urlsafe_b64encode(orjson.dumps(token)).decode().rstrip("=")


def _resumed(store: Store, token: str, asked: int | None) -> tuple[int, str]:
    """Return the version and the first key of a later page."""
    try:
        parsed = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        version, start = int(parsed["rv"]), str(parsed["start"])
    except (binascii.Error, orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise bad_request(f"invalid continue token: continue key is not valid: {error}") from None
    if asked is not None:
        raise bad_request("specifying resource version is not allowed when using continue")
    if version < 0:  # what an expired one was answered with: go on with what there is now
        return store.version, start
    if version < store.compacted:
        raise expired(_EXPIRED, continue_=_token(-1, start))
    return version, start
