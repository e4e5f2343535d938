"""What is known of the objects that carry attempts: an informer's copy or, of sub-workflows, a view of the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

from fairlead.engine.classify import JobView, PodView, observe_job, observe_pod
from fairlead.kube.resources import ObjectKey

from .children import ChildView, observe_child

__all__ = ["Cache", "View", "has_ended"]

#: What is kept of an object.
View: TypeAlias = PodView | JobView | ChildView


def has_ended(view: View) -> bool:
    """Tell whether what carries an attempt has ended."""
    match view:
        case PodView():
            return observe_pod(view).outcome is not None
        case JobView():
            return observe_job(view).outcome is not None
        case ChildView():
            return observe_child(view).outcome is not None


class Cache(Protocol):
    """All objects of one kind, by the key of the attempt that they carry."""

    def get(self, key: ObjectKey) -> Any | None:
        """Return what carries an attempt, None where that is not known."""
        ...

    def by_owner(self, owner_uid: str) -> Mapping[ObjectKey, Any]:
        """Return what carries the attempts of a run; do not iterate over it across an await."""
        ...

    async def confirm_gone(self, key: ObjectKey, uid: str | None = None) -> bool:
        """Make sure that an object which is not known any more is gone. Raises `ApiError`."""
        ...
