"""How a request is written: media types, headers, query; and in whose name it is sent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlencode

from fairlead import __version__

from .resources import Resource

__all__ = [
    "JSON",
    "METADATA",
    "METADATA_LIST",
    "USER_AGENT",
    "headers_for",
    "impersonation",
    "label_of",
    "selectors",
    "target_of",
]

USER_AGENT = f"fairlead/{__version__}"

JSON = "application/json"
# The server sends only metadata back, in these envelopes (KEP 2897 of old, "metadata-only" requests).
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


def headers_for(accept: str, identity: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of every request; `identity` is from :func:`impersonation`, or empty for our own."""
    # Uncompressed: inside a cluster the server's time for gzip costs more than the bytes.
    return {"Accept": accept, "Accept-Encoding": "identity", "User-Agent": USER_AGENT, **identity}


def impersonation(namespace: str, service_account: str) -> Mapping[str, str]:
    """Return the headers by which a request is sent in the name of a service account.

    No groups are named: the server then adds the account's own ones (apiserver/pkg/endpoints/filters/impersonation),
    whereas each that is named needs a right to impersonate that group, and nothing keeps such a right to our use.

    Raises:
        ValueError: one of the two is empty, or cannot be part of a user's name.
    """
    for part in (namespace, service_account):
        if not _NAME.fullmatch(part):
            raise ValueError(f"no service account can be called {namespace!r}/{service_account!r}")
    return {"Impersonate-User": f"system:serviceaccount:{namespace}:{service_account}"}


def target_of(path: str, params: Mapping[str, str] | None) -> str:
    """Return a path as of `Resource.path`, which is quoted, with its query."""
    return f"{path}?{urlencode(params)}" if params else path


def label_of(resource: Resource, subresource: str | None = None) -> str:
    """Return what the observer calls a resource."""
    return f"{resource.plural}/{subresource}" if subresource else resource.plural


def selectors(label_selector: str | None, field_selector: str | None) -> dict[str, str]:
    """Return the query of a list or watch."""
    params = {}
    if label_selector:
        params["labelSelector"] = label_selector
    if field_selector:
        params["fieldSelector"] = field_selector
    return params
