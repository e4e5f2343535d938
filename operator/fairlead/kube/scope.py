"""Which namespaces are served: all of them, or some by name. Whoever lists or watches more than one goes by it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias, TypeVar

from .informer import Informer
from .informers import Informers
from .resources import Resource
from .transport import ApiClient

__all__ = ["Following", "Scope"]

T = TypeVar("T")

#: A copy of one resource, in all namespaces or in several.
Following: TypeAlias = Informer[T] | Informers[T]


class Scope:
    """All namespaces, or those that are named.

    Attributes:
        namespaces: by name, none twice; empty means all.
        parts: what to ask for one after the other: each of them, or None for all at once.
    """

    def __init__(self, namespaces: Iterable[str] = ()) -> None:
        self.namespaces = tuple(dict.fromkeys(namespaces))
        self.parts: tuple[str | None, ...] = self.namespaces or (None,)

    def informer(self, client: ApiClient, resource: Resource, **options: Any) -> Following[Any]:
        """Return what keeps a copy of the objects of all that is served. `options` are those of `Informer`."""
        if not self.namespaces:
            return Informer(client, resource, **options)
        return Informers(self.namespaces, lambda namespace: Informer(client, resource, namespace=namespace, **options))
