"""`make e2e-install`: the image built for real, the chart installed by the real Helm, workflows run, all of it undone.

    python -m e2e.install                 build, install, run, uninstall
    python -m e2e.install --image-only    build the image and give it to the dev cluster
    python -m e2e.install --image NAME    use an image that the cluster can pull (for a cluster of yours)

Everything happens in two namespaces of its own, which are removed at the end, also after a failure, and at the start,
should an earlier run have been killed. An operator that runs beside the cluster (`make demo` leaves one) may go on:
two that act on the same workflows are safe. What the one under test did is then told by its own metrics.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from e2e import dev_operator
from e2e.devcluster import binaries, builds, existing, state
from e2e.devcluster.progress import Failure, say, step
from e2e.helm import image
from e2e.kubectl import Cluster, CommandFailed, wait_until
from e2e.pod_security import RESTRICTED, assert_enforced
from fairlead import __version__
from fairlead.api import labels

ROOT = Path(__file__).resolve().parents[1]
CHART = ROOT / "charts" / "fairlead"

RELEASE = "fairlead"
NAMESPACE = "fairlead-e2e-install"
USERS = "fairlead-e2e-install-users"
#: Of our kinds; the first tells for all whether they are installed, and by whom.
CRDS = tuple(
    f"{kind}.fairlead.dev" for kind in ("workflows", "workflowtemplates", "workflowactions", "taskstatusshards")
)

#: What the operator asks for, `=NAME` where it is about one object. The chart grants this and nothing else
#: (tests/contract/test_chart.py).
ALLOWED = {
    "workflows.fairlead.dev": ("get", "list", "watch", "create", "patch", "delete", "stop", "retry"),
    "workflows.fairlead.dev/status": ("patch",),
    "workflows.fairlead.dev/finalizers": ("update",),
    "workflowtemplates.fairlead.dev": ("get", "list", "watch"),
    "workflowtemplates.fairlead.dev/status": ("patch",),
    "workflowactions.fairlead.dev": ("get", "list", "watch", "create", "patch", "delete"),
    "workflowactions.fairlead.dev/status": ("patch",),
    "taskstatusshards.fairlead.dev": ("get", "list", "create", "patch"),
    "controllerrevisions.apps": ("get", "create"),
    "validatingadmissionpolicies.admissionregistration.k8s.io=fairlead-requested-by": ("get",),
    "validatingadmissionpolicybindings.admissionregistration.k8s.io=fairlead-requested-by": ("get",),
    "pods": ("get", "list", "watch", "create", "patch", "delete"),
    "pods/log": ("get",),
    "jobs.batch": ("get", "list", "watch", "create", "patch", "delete"),
    "configmaps": ("get", "create"),
    "persistentvolumeclaims": ("get", "create"),
    "events": ("create",),
    "serviceaccounts": ("impersonate",),
}
#: What would matter most if somebody took over the operator's account; a sample, asked of the real authorizer.
DENIED = {
    "secrets": ("get", "list", "watch", "create"),
    "configmaps": ("list", "watch", "patch", "delete"),
    "workflows.fairlead.dev": ("update",),
    "workflowtemplates.fairlead.dev": ("create", "update", "patch", "delete"),
    "workflowactions.fairlead.dev": ("update",),
    "controllerrevisions.apps": ("list", "update", "patch", "delete"),
    "validatingadmissionpolicies.admissionregistration.k8s.io": ("get", "list", "patch"),
    "pods": ("update",),
    "pods/exec": ("create",),
    "serviceaccounts/token": ("create",),
    "deployments.apps": ("create", "patch"),
    "namespaces": ("get", "delete"),
    "nodes": ("get", "patch"),
    "clusterroles.rbac.authorization.k8s.io": ("bind", "escalate", "create"),
    "users": ("impersonate",),
    "groups": ("impersonate",),
}

_HELM_TIMEOUT = "120s"


@dataclass(frozen=True, slots=True)
class Installation:
    """The release under test, in its cluster."""

    cluster: Cluster
    helm_program: Path

    def helm(self, *arguments: str) -> str:
        """Run Helm in the release's namespace; return all that it printed. Raises `CommandFailed`."""
        done = subprocess.run(
            [str(self.helm_program), *arguments, "--namespace", NAMESPACE],
            env=self.cluster.environment,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        if done.returncode:
            raise CommandFailed(f"helm {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout + done.stderr

    def ask(self, path: str) -> str:
        """Return what the operator answers, asked through its Service."""
        return self.cluster.kubectl(
            "get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/services/{RELEASE}-metrics:metrics/proxy{path}"
        )

    def sample(self, metric: str, **wanted: str) -> float:
        """Return the sum of a metric's samples that have these labels."""
        total = 0.0
        for line in self.ask("/metrics").splitlines():
            name, _, rest = line.partition("{")
            if name == metric and all(f'{key}="{value}"' in rest for key, value in wanted.items()):
                total += float(line.rpartition(" ")[2])
        return total


def main() -> int:
    """Do it; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m e2e.install", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image-only", action="store_true", help="only build the image and give it to the dev cluster")
    parser.add_argument("--image", metavar="NAME", help="install this image; build none")
    arguments = parser.parse_args()
    begun = time.monotonic()
    try:
        if arguments.image is None:
            at, recipe = state.layout(), builds.catalogue()["operator"]
            built = image.read(builds.build_image(at, recipe))
            say(f"{recipe.name} is on the node: {built.summary()}")
        if not arguments.image_only:
            _install_and_undo(Cluster.current(), arguments.image)
            say(f"e2e-install passed in {time.monotonic() - begun:.0f} s")
    except (Failure, CommandFailed, AssertionError, TimeoutError, subprocess.TimeoutExpired) as failure:
        print(f"e2e-install: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("e2e-install: interrupted", file=sys.stderr)
        return 130
    return 0


def _install_and_undo(cluster: Cluster, image_name: str | None) -> None:
    installation = Installation(cluster, binaries.ensure(("helm",))["helm"])
    if existing.named() is None:
        builds.give_python(state.layout())  # of the example with a script
    _undo(installation)
    had_crds = [name for name in CRDS if _crd(cluster, name)]
    try:
        _install(installation, image_name)
        _check_probes(installation)
        _check_rights(installation)
        _run_hello(installation)
        _run_others(installation)
        _check_part(installation)
        with step("a privileged pod is refused where the operator runs"):
            assert_enforced(cluster, NAMESPACE, f"app.kubernetes.io/instance={RELEASE}")
        _uninstall(installation)
    except BaseException:
        _tell_what_there_is(cluster)
        raise
    finally:
        with step("cleaning up"):
            _undo(installation)
            _restore_crds(cluster, had_crds)


def _install(installation: Installation, image_name: str | None) -> None:
    cluster = installation.cluster
    for name, pod_security in ((NAMESPACE, RESTRICTED), (USERS, {})):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": pod_security}}
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(namespace))
    options = ["--wait", "--timeout", _HELM_TIMEOUT]
    if image_name:
        repository, _, tag = image_name.rpartition(":")
        options += ["--set", f"image.registry=,image.repository={repository},image.tag={tag}"]
    if owner := _crd_owner(cluster):
        say(f"the CRD belongs to the release {owner}: it stays as it is")
        options += ["--set", "crds.install=false"]
    elif _crd(cluster):
        # Somebody applied crds/ with kubectl. Their fields are ours to change: it is the same schema, or a newer one.
        options += ["--take-ownership", "--force-conflicts"]
    with step("helm lint, helm install --wait, where pods must satisfy the restricted profile"):
        installation.helm("lint", "--strict", str(CHART))
        printed = installation.helm("install", RELEASE, str(CHART), *options)
    assert "would violate" not in printed, printed
    assert "kubectl apply -f examples/hello.yaml" in printed, f"the notes are missing: {printed}"
    assert all(_crd(cluster, name) for name in CRDS), "the chart has not installed all CRDs"


def _check_probes(installation: Installation) -> None:
    for path in ("/healthz", "/readyz"):
        checks = json.loads(installation.ask(path))
        assert set(checks.values()) == {"ok"}, f"{path}: {checks}"
    assert installation.sample("fairlead_build_info", version=__version__) == 1.0
    say("/healthz and /readyz say ok; /metrics is served, of this version")


def _check_rights(installation: Installation) -> None:
    wanted = [
        (verb, resource, expected)
        for table, expected in ((ALLOWED, True), (DENIED, False))
        for resource, verbs in table.items()
        for verb in verbs
    ]
    with step("asking the API server what the operator's account may do"):
        answers = _may(installation.cluster, [(verb, resource) for verb, resource, _ in wanted])
    wrong = [
        f"{'must' if expected else 'must not'} be allowed to {verb} {resource}"
        for (verb, resource, expected), answer in zip(wanted, answers, strict=True)
        if answer is not expected
    ]
    assert not wrong, f"the operator's service account: {'; '.join(wrong)}"


def _may(cluster: Cluster, wanted: list[tuple[str, str]]) -> list[bool]:
    """Whether the operator's account may do each of these to any object, or the one named, in any namespace."""
    return allowed(cluster, [review(verb, resource, account=(NAMESPACE, RELEASE)) for verb, resource in wanted])


def allowed(cluster: Cluster, reviews: Sequence[dict[str, Any]]) -> list[bool]:
    """Return what the API server says to some `SubjectAccessReview`s."""
    documents = "\n---\n".join(map(json.dumps, reviews))
    printed = cluster.kubectl("create", "-f", "-", "-o", "jsonpath={.status.allowed}{'\\n'}", stdin=documents)
    return [line == "true" for line in printed.splitlines()]


def review(verb: str, resource: str, *, account: tuple[str, str], namespace: str = "") -> dict[str, Any]:
    """Ask whether a service account (its namespace and name) may do something; `=NAME` names one object."""
    about, _, name = resource.partition("=")
    plain, _, subresource = about.partition("/")
    plural, _, group = plain.partition(".")
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": "system:serviceaccount:{}:{}".format(*account),
            "groups": ["system:serviceaccounts", f"system:serviceaccounts:{account[0]}", "system:authenticated"],
            "resourceAttributes": {
                "namespace": namespace,
                "verb": verb,
                "resource": plural,
                "group": group,
                "subresource": subresource,
                "name": name,
            },
        },
    }


def _run_hello(installation: Installation) -> None:
    """Run it as the notes say."""
    cluster = installation.cluster
    with step("kubectl apply -f examples/hello.yaml; kubectl wait --for=condition=Finished"):
        cluster.kubectl("delete", "workflow", "hello", "-n", USERS, "--ignore-not-found", "--timeout=60s", timeout=70)
        cluster.kubectl("apply", "--validate=strict", "-n", USERS, "-f", str(ROOT / "examples" / "hello.yaml"))
        _wait_finished(cluster, "hello")
    _assert_succeeded(cluster, "hello")


def _run_others(installation: Installation) -> None:
    """Run what needs the other rights: scripts (ConfigMaps), Jobs, the deletion after a TTL."""
    cluster = installation.cluster
    with step("examples with a script, a Job, a time to live"):
        names = ["script", "job", "ttl"] if existing.named() is None else ["job", "ttl"]
        for name in names:
            workflow = yaml.safe_load((ROOT / "examples" / f"{name}.yaml").read_text())
            if name == "ttl":
                workflow["spec"]["ttlSecondsAfterFinished"] = 0
            cluster.apply(workflow, namespace=USERS)
        for name in names[:-1]:
            _wait_finished(cluster, name)
            _assert_succeeded(cluster, name)
        wait_until("the workflow with a TTL to be deleted", lambda: not _names(cluster, "workflow/ttl"), 90)


def _check_part(installation: Installation) -> None:
    """See that the operator under test has done its part, and that nothing was forbidden to it."""
    tries = 0
    while (asked := _creates(installation)) == 0:
        # Another operator was faster with every single pod. It cannot be so for long: the two are equals.
        tries += 1
        if tries > 10:
            outside = dev_operator.waiting_for() is not None
            remedy = "`python -m e2e.dev_operator stop`" if outside else "stop the other operator of this cluster"
            raise Failure("all of it succeeded, but under another operator: this shows nothing", remedy)
        say("so far another operator has started every task before the one under test could: once more")
        _run_hello(installation)
    # A right that is missing in the chart shows here, also where the operator got over it.
    refused = installation.sample("fairlead_api_requests_total", code="403")
    assert refused == 0, f"{refused:.0f} requests were forbidden: the chart grants too little"
    say(f"the operator in the cluster asked for {asked:.0f} pods, and nothing was forbidden to it")


def _creates(installation: Installation) -> float:
    """How many pods the operator asked for: a 409 says that another one was faster by a moment."""
    wanted = ("201", "409")
    return sum(
        installation.sample("fairlead_api_requests_total", verb="create", resource="pods", code=code) for code in wanted
    )


def _wait_finished(cluster: Cluster, name: str) -> None:
    arguments = ("wait", "--for=condition=Finished", f"workflow/{name}", "-n", USERS, "--timeout=120s")
    cluster.kubectl(*arguments, timeout=130)


def _assert_succeeded(cluster: Cluster, name: str) -> None:
    status = cluster.get("workflow", name, "-n", USERS).get("status", {})
    assert status.get("phase") == "Succeeded", f"{name}: {status.get('phase')}: {status.get('message')}"


def _uninstall(installation: Installation) -> None:
    cluster = installation.cluster
    with step("helm uninstall"):
        printed = installation.helm("uninstall", RELEASE, "--wait", "--timeout", _HELM_TIMEOUT)
        assert "Failed" not in printed, printed
        wait_until("the operator's pod to be gone", lambda: not _installed(cluster), 60)
    assert not _names(cluster, "secrets", NAMESPACE, "owner=helm"), "Helm still knows the release"
    # crds.keep: what people ran is still there, and to be read, without an operator.
    assert all(_crd(cluster, name) for name in CRDS), "crds.keep is true, and a CRD is gone"
    _assert_succeeded(cluster, "hello")
    cluster.kubectl("delete", "workflows", "--all", "-n", USERS, "--timeout=60s", timeout=70)
    wait_until("nothing to be left of the runs", lambda: not _names(cluster, "pods,jobs", USERS), 60)


def _installed(cluster: Cluster) -> list[str]:
    """What there is of the release."""
    namespaced = "deployments,replicasets,pods,services,serviceaccounts"
    ours = _names(cluster, namespaced, NAMESPACE, f"app.kubernetes.io/instance={RELEASE}")
    roles = cluster.get("clusterroles,clusterrolebindings", "-l", f"app.kubernetes.io/instance={RELEASE}")["items"]
    return ours + [each["metadata"]["name"] for each in roles if each["metadata"]["name"].startswith(f"{NAMESPACE}:")]


def _names(cluster: Cluster, kinds: str, namespace: str = USERS, selector: str = "") -> list[str]:
    options = ["-l", selector] if selector else []
    return cluster.kubectl("get", kinds, "-n", namespace, "--ignore-not-found", "-o", "name", *options).split()


def _crd(cluster: Cluster, name: str = CRDS[0]) -> dict[str, Any]:
    text = cluster.kubectl("get", "crd", name, "--ignore-not-found", "-o", "json")
    found: dict[str, Any] = json.loads(text) if text.strip() else {}
    return found


def _crd_owner(cluster: Cluster) -> str:
    """The release that the CRDs belong to, as namespace/name; "" for none."""
    annotations = _crd(cluster).get("metadata", {}).get("annotations", {})
    name = annotations.get("meta.helm.sh/release-name")
    return f"{annotations.get('meta.helm.sh/release-namespace')}/{name}" if name else ""


def _restore_crds(cluster: Cluster, had: Sequence[str]) -> None:
    """Leave the CRDs as they were found: not there, or belonging to nobody."""
    if _crd_owner(cluster) in ("", f"{NAMESPACE}/{RELEASE}"):
        for name in CRDS:
            _restore_crd(cluster, name, had=name in had)


def _restore_crd(cluster: Cluster, name: str, *, had: bool) -> None:
    metadata = _crd(cluster, name).get("metadata", {})
    if not metadata:
        return
    if not had:
        # Whoever has used it meanwhile goes on doing so: without it, Kubernetes would delete their objects.
        if cluster.get(name, "--all-namespaces")["items"]:
            say(f"the CRD {name} stays: there are objects of others")
        else:
            cluster.kubectl("delete", "crd", name, "--timeout=60s", timeout=70)
            return
    ours = {
        "annotations": [key for key in metadata.get("annotations", {}) if "helm.sh/" in key],
        "labels": [key for key in metadata.get("labels", {}) if key.startswith(("app.kubernetes.io/", "helm.sh/"))],
    }
    patch = {"metadata": {kind: dict.fromkeys(keys) for kind, keys in ours.items()}}
    cluster.kubectl("patch", "crd", name, "--type=merge", "-p", json.dumps(patch))


def _undo(installation: Installation) -> None:
    """Remove whatever is there of this test, in the order in which nothing gets stuck. Harmless where nothing is."""
    cluster = installation.cluster
    if _crd(cluster):
        cluster.kubectl("delete", "workflows", "--all", "-n", USERS, "--wait=false")
    if _names(cluster, f"namespace/{NAMESPACE}", "default"):
        installation.helm("uninstall", RELEASE, "--ignore-not-found", "--wait", "--timeout", "60s")
    _release(cluster)
    cluster.kubectl("delete", "namespace", USERS, NAMESPACE, "--ignore-not-found", "--timeout=90s", timeout=100)


def _release(cluster: Cluster) -> None:
    """Take our finalizer off what an operator that is gone has left: what docs/install.md tells people to do."""
    patch = json.dumps({"metadata": {"$deleteFromPrimitiveList/finalizers": [labels.FINALIZER]}})
    for name in _names(cluster, "pods,jobs", selector=labels.RUN_UID):
        try:
            cluster.kubectl("patch", name, "-n", USERS, "--type=strategic", "-p", patch)
        except CommandFailed as error:
            if "not found" not in str(error):  # gone meanwhile
                raise


def _tell_what_there_is(cluster: Cluster) -> None:
    """Print what helps to find the cause of a failure, before all of it is removed."""
    print("e2e-install: it failed, and this is what there was:", file=sys.stderr)
    for arguments in (
        ("get", "pods,workflows", "-n", NAMESPACE),
        ("get", "events", "-n", NAMESPACE),
        ("logs", "-n", NAMESPACE, f"deployment/{RELEASE}", "--tail=40"),
        ("get", "pods,jobs,workflows", "-n", USERS),
        ("get", "events", "-n", USERS),
    ):
        try:
            printed = cluster.kubectl(*arguments)
        except (CommandFailed, subprocess.TimeoutExpired) as error:
            printed = str(error)
        print(f"$ kubectl {' '.join(arguments)}\n{printed}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
