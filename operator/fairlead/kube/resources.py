"""Where each kind lives in the API: the one table of resource paths.

Only what the operator touches is listed. A kind that a user names in a `resource` task is looked up in
discovery instead, and becomes a `Resource` value like these.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote

__all__ = [
    "ADMISSION_POLICIES",
    "ADMISSION_POLICY_BINDINGS",
    "CLAIMS",
    "CONFIGMAPS",
    "CONTROLLERREVISIONS",
    "EVENTS",
    "JOBS",
    "LEASES",
    "NAMESPACES",
    "PODS",
    "SECRETS",
    "SELF_SUBJECT_REVIEWS",
    "SUBJECT_ACCESS_REVIEWS",
    "TASKSTATUSSHARDS",
    "TOKEN_REVIEWS",
    "VALIDATING_WEBHOOKS",
    "WORKFLOWACTIONS",
    "WORKFLOWS",
    "WORKFLOWTEMPLATES",
    "ObjectKey",
    "Resource",
]


class ObjectKey(NamedTuple):
    """Namespace and name: how the API addresses an object. The namespace of a cluster-scoped one is ''."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as the API server serves it.

    `strategic` says whether it takes strategic merge patches: built-in kinds do, custom resources answer 415.
    """

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    strategic: bool = True

    @property
    def api_version(self) -> str:
        """`v1`, or `batch/v1`: what goes into a manifest's `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def qualified(self) -> str:
        """`pods`, or `jobs.batch`: how RBAC messages and people name it."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """URL path of the collection, of one object, or of a subresource of it.

        Without a namespace this is the collection across all namespaces, which has no single objects.

        Raises:
            ValueError: the parts do not address anything: a namespaced object without its namespace, a
                namespace for a cluster-scoped kind, a subresource without a name.
        """
        if name == "":
            raise ValueError(f"{self.qualified}: an empty name would address the whole collection")
        if name in (".", "..") or namespace in (".", ".."):
            raise ValueError(f"{self.qualified}: {namespace}/{name} would address something else")
        if namespace and not self.namespaced:
            raise ValueError(f"{self.qualified} is cluster-scoped: it has no namespace {namespace!r}")
        if name and self.namespaced and not namespace:
            raise ValueError(f"{self.qualified} {name!r}: a namespaced object needs its namespace")
        if subresource and not name:
            raise ValueError(f"{self.qualified}/{subresource}: a subresource needs a name")
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if namespace:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


PODS = Resource("", "v1", "pods", "Pod")
CLAIMS = Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim")
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS = Resource("", "v1", "secrets", "Secret")
EVENTS = Resource("", "v1", "events", "Event")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
JOBS = Resource("batch", "v1", "jobs", "Job")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
CONTROLLERREVISIONS = Resource("apps", "v1", "controllerrevisions", "ControllerRevision")
WORKFLOWS = Resource("fairlead.dev", "v1alpha1", "workflows", "Workflow", strategic=False)
WORKFLOWTEMPLATES = Resource("fairlead.dev", "v1alpha1", "workflowtemplates", "WorkflowTemplate", strategic=False)
WORKFLOWACTIONS = Resource("fairlead.dev", "v1alpha1", "workflowactions", "WorkflowAction", strategic=False)
TASKSTATUSSHARDS = Resource("fairlead.dev", "v1alpha1", "taskstatusshards", "TaskStatusShard", strategic=False)
ADMISSION_POLICIES = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicies",
    "ValidatingAdmissionPolicy",
    namespaced=False,
)
ADMISSION_POLICY_BINDINGS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingadmissionpolicybindings",
    "ValidatingAdmissionPolicyBinding",
    namespaced=False,
)
VALIDATING_WEBHOOKS = Resource(
    "admissionregistration.k8s.io",
    "v1",
    "validatingwebhookconfigurations",
    "ValidatingWebhookConfiguration",
    namespaced=False,
)
SELF_SUBJECT_REVIEWS = Resource(
    "authentication.k8s.io", "v1", "selfsubjectreviews", "SelfSubjectReview", namespaced=False
)
TOKEN_REVIEWS = Resource("authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False)
SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
