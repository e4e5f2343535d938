"""Whether a GitOps tool looks after a Workflow: deleted, it would be applied again, and so run again."""

from __future__ import annotations

from .store import Workflow

__all__ = ["is_tracked"]

#: Metadata by which Argo CD and Flux track what they have applied.
_TRACKING = (
    "argocd.argoproj.io/tracking-id",
    "argocd.argoproj.io/instance",
    "kustomize.toolkit.fluxcd.io/name",
    "helm.toolkit.fluxcd.io/name",
)


def is_tracked(workflow: Workflow) -> bool:
    """Tell whether Argo CD or Flux has applied a Workflow."""
    metadata = workflow.raw["metadata"]
    return any(key in (metadata.get(kind) or {}) for key in _TRACKING for kind in ("labels", "annotations"))
