"""The faults, one for each alert: how it is brought about, and what has to fire.

Those of one group stay while the next ones come: each time, what fires is what was brought about so far, and no more.
Then all of them are lifted, and everything falls silent before the next group begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from e2e.chaos.rights import Account
from e2e.kubectl import Cluster
from e2e.observe.load import NAMESPACE, Load
from e2e.observe.proxy import Proxy
from e2e.observe.webhook import Webhook
from e2e.operators import OperatorProcess
from e2e.workflows import sh, workflow

__all__ = ["GROUPS", "QUOTA_NAMESPACE", "Fault", "Group", "Scene"]

#: Where a quota leaves room for nothing.
QUOTA_NAMESPACE = f"{NAMESPACE}-quota"

#: The binding by which the operator may read one namespace.
_READER = "fairlead-observe-reader"


@dataclass(slots=True)
class Scene:
    """What there is to be broken. `start(*options)` starts the operator anew, at the same address."""

    cluster: Cluster
    account: Account
    proxy: Proxy
    load: Load
    operator: OperatorProcess
    webhook: Webhook
    archive: Path
    start: Callable[..., OperatorProcess]

    def delete(self, *names: str, namespace: str = NAMESPACE) -> None:
        """Delete Workflows, and do not wait until they are gone."""
        self.cluster.kubectl("delete", "workflow", *names, "-n", namespace, "--wait=false", "--ignore-not-found")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. `again` is done every second until the alerts fire; `consequences` may fire as well."""

    name: str
    alerts: frozenset[str]
    inject: Callable[[Scene], None]
    again: Callable[[Scene], None] | None = None
    consequences: frozenset[str] = frozenset()
    seconds: float = 45.0


@dataclass(frozen=True, slots=True)
class Group:
    """Faults that come one after the other, and are lifted together."""

    name: str
    faults: Sequence[Fault]
    lift: Callable[[Scene], None]


def _alerts(*names: str) -> frozenset[str]:
    return frozenset(f"Fairlead{name}" for name in names)


# -- of the users


def _failing(on: Scene) -> None:
    """Tasks that fail without a pod, and so at once."""
    broken = {"a": {"set": {"values": [{"name": "x", "value": "${1 / params.zero}"}]}}}
    params = [{"name": "zero", "type": "integer", "default": 0}]
    on.load.apply(*(workflow(f"fails-{number}", broken, params=params) for number in range(60)))


def _no_template(on: Scene) -> None:
    spec = {"templateRef": {"name": "not-there"}}
    kind = {"apiVersion": "fairlead.dev/v1alpha1", "kind": "Workflow"}
    on.load.apply({**kind, "metadata": {"name": "stalls"}, "spec": spec})


def _unschedulable(on: Scene) -> None:
    on.load.apply(workflow("nowhere", {"a": sh("true", pod={"nodeSelector": {"nowhere": "true"}})}))


def _over_quota(on: Scene) -> None:
    on.cluster.apply(workflow("over-quota", {"a": sh("true")}), namespace=QUOTA_NAMESPACE)


def _unreadable(on: Scene) -> None:
    on.webhook.send_nonsense()


def _deleted_pods(on: Scene) -> None:
    """Somebody deletes what runs: a failure of the infrastructure, for which there are retries."""
    selector = "fairlead.dev/workflow=runs"
    arguments = ("delete", "pods", "-n", NAMESPACE, "-l", selector, "--grace-period=0", "--wait=false")
    on.cluster.kubectl(*arguments, "--ignore-not-found")


def _mend_runs(on: Scene) -> None:
    names = ("stalls", "nowhere", "runs", *(f"fails-{number}" for number in range(60)))
    on.delete(*names)
    on.delete("over-quota", namespace=QUOTA_NAMESPACE)


# -- of the way to the API server


def _slow(on: Scene) -> None:
    on.proxy.delay = 1.3


def _shut(on: Scene) -> None:
    on.proxy.shut()


def _open(on: Scene) -> None:
    on.proxy.reopen()


# -- of rights


def _without(resource: str, verb: str) -> Callable[[Scene], None]:
    return lambda on: on.account.without(resource, verb)


def _give_back(on: Scene) -> None:
    on.account.restore()


# -- of what is around it


def _without_archive(on: Scene) -> None:
    """The volume that the archive is on is not there."""
    on.archive.rename(_away(on))


def _nearly_over(on: Scene) -> None:
    """Nobody has renewed the certificate."""
    on.webhook.certify(days=3)


def _mend_surroundings(on: Scene) -> None:
    _away(on).rename(on.archive)
    on.webhook.certify(days=90)


def _away(on: Scene) -> Path:
    return on.archive.with_name("archive-elsewhere")


# -- of the operator


def _stuck(on: Scene) -> None:
    on.load.apply(workflow("stuck-60-once", {"a": {"set": {"values": [{"name": "x", "value": 1}]}}}))


def _defect(on: Scene) -> None:
    on.load.apply(workflow("defect-1", {"a": {"set": {"values": [{"name": "x", "value": 1}]}}}))


def _busy(on: Scene) -> None:
    """More that takes long than there are workers: what follows has to wait for it."""
    task = {"a": {"set": {"values": [{"name": "x", "value": 1}]}}}
    on.load.apply(*(workflow(f"stuck-8-{number}", task) for number in range(48)))


def _mend_operator(on: Scene) -> None:
    on.delete("stuck-60-once", "defect-1", *(f"stuck-8-{number}" for number in range(48)))
    _restart(on)


def _restart(on: Scene) -> None:
    if on.operator.alive:
        on.operator.kill()
    on.operator = on.start()
    on.operator.wait_ready(30)


def _restarts(on: Scene) -> None:
    for _ in range(3):
        _restart(on)
        time.sleep(1.5)  # long enough to be seen


def _dead(on: Scene) -> None:
    on.operator.kill()


def _without_lease(on: Scene) -> None:
    """A replica that may have no Lease, since the namespace where they should be does not exist."""
    on.operator.kill()
    on.operator = on.start("--lease-namespace", f"{NAMESPACE}-missing")


def _without_namespace(on: Scene) -> None:
    """Of two namespaces that are served by name, pods may be read in one only."""
    on.account.without("pods", "list", "watch")
    # Kubernetes' own role of those who may look at a namespace.
    given = ("--clusterrole=view", f"--user={on.account.user}")
    on.cluster.kubectl("create", "rolebinding", _READER, "-n", NAMESPACE, *given)
    on.operator.kill()
    on.operator = on.start("--watch-namespace", NAMESPACE, "--watch-namespace", QUOTA_NAMESPACE)


def _mend_namespace(on: Scene) -> None:
    on.account.restore()
    on.cluster.kubectl("delete", "rolebinding", _READER, "-n", NAMESPACE)
    _restart(on)


GROUPS: tuple[Group, ...] = (
    Group(
        "runs",
        (
            Fault("runs fail", _alerts("RunsFailing"), _failing),
            Fault("a template is missing", _alerts("RunsStalled"), _no_template),
            Fault("no node fits", _alerts("TasksNotStarting"), _unschedulable),
            Fault("the quota is used up", _alerts("QuotaExceeded"), _over_quota),
            Fault("the webhook is sent nonsense", _alerts("AdmissionUnchecked"), _unreadable, _unreadable),
            Fault("pods are deleted", _alerts("InfrastructureFailures"), _deleted_pods, _deleted_pods),
        ),
        _mend_runs,
    ),
    Group(
        "slow",
        (Fault("the API server answers late", _alerts("ApiSlow", "HopSlow"), _slow),),
        _open,
    ),
    Group(
        "shut",
        (Fault("the API server is out of reach", _alerts("ApiErrors", "NotReady"), _shut),),
        _open,
    ),
    Group(
        "rights",
        (
            Fault(
                "the right to write Events is gone",
                _alerts("EventsDropped"),
                _without("events", "create"),
            ),
            Fault(
                "the right to create pods is gone",
                _alerts("RightsMissing"),
                _without("pods", "create"),
            ),
            Fault(
                "the right to write status is gone",
                _alerts("StatusNotWritten"),
                _without("workflows/status", "patch"),
            ),
        ),
        _give_back,
    ),
    Group(
        "surroundings",
        (
            Fault("the archive is not there", _alerts("ArchiveUnavailable"), _without_archive),
            Fault("the certificate is nearly over", _alerts("CertificateExpiring"), _nearly_over),
        ),
        _mend_surroundings,
    ),
    Group(
        "operator",
        (
            Fault("a worker is stuck", _alerts("ReconcileStuck"), _stuck, seconds=60.0),
            Fault("a defect", _alerts("Defects"), _defect),
            Fault("all workers are busy", _alerts("QueueSlow"), _busy, consequences=_alerts("HopSlow")),
        ),
        _mend_operator,
    ),
    Group(
        "process",
        (
            Fault(
                "the operator is killed three times",
                _alerts("Restarting"),
                _restarts,
                # One that starts reads everything, in the seconds in which it has most to do: among so few requests,
                # one slow answer is more than one in a hundred.
                consequences=_alerts("NotReady", "Down", "ApiSlow"),
            ),
            Fault("the operator is dead", _alerts("Down"), _dead, consequences=_alerts("NotReady", "Restarting")),
        ),
        _restart,
    ),
    Group(
        "lease",
        (
            Fault(
                "a replica can have no lease",
                _alerts("BucketsUnheld", "NotReady"),
                _without_lease,
                consequences=_alerts("Restarting"),
            ),
        ),
        _restart,
    ),
    Group(
        "namespace",
        (
            Fault(
                "a namespace may not be read",
                _alerts("NamespaceNotServed"),
                _without_namespace,
                consequences=_alerts("NotReady", "Restarting"),
            ),
        ),
        _mend_namespace,
    ),
)
