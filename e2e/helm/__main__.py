"""`make e2e-helm`: what docs/operations.md tells a platform engineer to do, done, and looked at.

The image is built by a real builder. Helm 4 installs the chart where the API server enforces the restricted Pod
Security profile; the flights pipeline runs under it, and the release is upgraded and rolled back meanwhile; it is
removed while a run is under way. Helm 3 installs it again, for two namespaces only, and the run goes on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import yaml

from e2e import dev_operator, install
from e2e.audit import AuditLog
from e2e.devcluster import binaries, builds, existing, state
from e2e.devcluster.progress import Failure, say, step
from e2e.kubectl import Cluster, CommandFailed, wait_until
from fairlead import __version__

from . import image
from .release import NAMESPACE, RELEASE, Release
from .runs import each_attempt_was_created_once, held, sleeper, wait_for_tasks

ROOT = Path(__file__).resolve().parents[2]
FLIGHTS = ROOT / "examples" / "nycflights"
#: Where people work: two that the operator of the second half serves, and one that it does not.
TEAM_A, TEAM_B, OTHERS = (f"{NAMESPACE}-{name}" for name in ("team-a", "team-b", "others"))
FULL = ("--set", "webhook.enabled=true,networkPolicy.enabled=true")
OWNERSHIP = {4: ("--take-ownership", "--force-conflicts"), 3: ("--take-ownership",)}


def main() -> int:
    """Do it; returns the exit code."""
    begun = time.monotonic()
    if existing.named():
        print("e2e-helm looks into the audit log of the dev cluster: unset CLUSTER_KUBECONFIG", file=sys.stderr)
        return 2
    try:
        cluster = Cluster.current()
        _images()
        dev_operator.stop()  # what happens here must be the doing of the release
        programs = binaries.ensure(("helm", "helm3"))
        _all_of_it(Release(cluster, programs["helm"]), Release(cluster, programs["helm3"]))
        say(f"e2e-helm passed in {time.monotonic() - begun:.0f} s")
    except (Failure, CommandFailed, AssertionError, TimeoutError, subprocess.TimeoutExpired) as failure:
        print(f"e2e-helm: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("e2e-helm: interrupted", file=sys.stderr)
        return 130
    return 0


def _images() -> None:
    at, recipes = state.layout(), builds.catalogue()
    built = image.read(builds.build_image(at, recipes["operator"]))
    problems = built.problems(__version__)
    assert not problems, f"the image: {'; '.join(problems)}"
    say(f"the operator's image: {built.summary()}")
    builds.build_image(at, recipes["demo"])


def _all_of_it(helm4: Release, helm3: Release) -> None:
    cluster = helm4.cluster
    _undo(helm4)
    had_crds = [name for name in install.CRDS if install._crd(cluster, name)]
    try:
        _namespaces(cluster)
        _install(helm4)
        _webhook(helm4)
        _flights(helm4)
        unfinished = _uninstall_in_mid_run(helm4)
        _install_for_some(helm3, unfinished)
        _delete_a_namespace(helm3)
        _remove_everything(helm3, had_crds)
    except BaseException:
        _tell_what_there_is(cluster)
        raise
    finally:
        with step("cleaning up"):
            _undo(helm4)


def _namespaces(cluster: Cluster) -> None:
    enforce = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    # The volume of the flights belongs to root on the dev cluster, which is all that their namespace needs to allow.
    for name, pod_security in ((NAMESPACE, enforce), (TEAM_A, {}), (TEAM_B, enforce), (OTHERS, enforce)):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": pod_security}}
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(namespace))


def _owned(cluster: Cluster, version: int) -> tuple[str, ...]:
    """Return the flags by which CRDs that are there become the release's."""
    return OWNERSHIP[version] if install._crd(cluster) else ()


def _install(release: Release) -> None:
    with step("Helm 4: lint, install, where pods must satisfy the restricted profile; helm test"):
        release.helm("lint", "--strict", str(ROOT / "charts" / "fairlead"))
        printed = release.change("install", *FULL, *_owned(release.cluster, 4))
        assert "would violate" not in printed, printed
        assert f"helm test {RELEASE}" in printed, f"the notes are missing: {printed}"
        printed = release.test()
        assert "Succeeded" in printed, printed
    for path in ("/healthz", "/readyz"):
        checks = json.loads(release.ask(path))
        assert set(checks.values()) == {"ok"}, f"{path}: {checks}"
    [pod] = release.pods()
    [container] = pod["spec"]["containers"]
    assert container["image"] == builds.catalogue()["operator"].name, container["image"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


def _webhook(release: Release) -> None:
    """A definition that is wrong is refused by the API server, with the certificate that the operator has made."""
    bad = sleeper("bad", 1)
    bad["spec"]["tasks"][1]["needs"] = ["frist"]

    def refused() -> str:
        # While the API server does not believe the certificate yet, it lets everything in: dry runs change nothing.
        try:
            release.cluster.kubectl("create", "--dry-run=server", "-n", TEAM_B, "-f", "-", stdin=json.dumps(bad))
        except CommandFailed as error:
            return str(error)
        return ""

    with step("a wrong definition is refused at admission"):
        said = wait_until("the webhook to be believed", refused, 60, interval=1)
        assert "did you mean 'first'?" in said, said
    [pod] = release.pods()
    name = pod["metadata"]["name"]
    expires = release.sample(name, "fairlead_webhook_certificate_expiry_timestamp_seconds")
    assert expires - time.time() > 80 * 86400, f"the certificate expires at {expires}"


def _flights(release: Release) -> None:
    """The pipeline runs to its end while the release is changed under it, and nothing is lost or repeated."""
    cluster = release.cluster
    assert cluster.audit_log is not None
    assert cluster.volumes is not None
    log = AuditLog.from_now(cluster.audit_log)
    first = {pod["metadata"]["uid"] for pod in release.pods()}
    flights = yaml.safe_load((FLIGHTS / "workflow.yaml").read_text())
    flights["spec"]["parallelism"] = 2  # else it might be over before the release has changed
    cluster.apply(yaml.safe_load((FLIGHTS / "volume.yaml").read_text()), flights, namespace=TEAM_A)
    cluster.apply(sleeper("ticks", 1, tasks=80), namespace=TEAM_B)
    with step("the flights pipeline and a long chain, until two tasks have succeeded"):
        wait_for_tasks(cluster, TEAM_A, "nycflights", 2)
    with step("helm upgrade in mid-run: two replicas"):
        release.change("upgrade", *FULL, "--set", "replicas=2,logLevel=DEBUG")
        upgraded = {pod["metadata"]["uid"] for pod in release.pods()}
        assert len(upgraded) == 2, upgraded
        assert not upgraded & first, "the upgrade has replaced nothing"
        _go_on(cluster, (TEAM_A, "nycflights"), (TEAM_B, "ticks"))
    with step("helm rollback in mid-run"):
        release.rollback(1)
        wait_until("one operator to be left", lambda: len(release.pods()) == 1, 60)
        assert not {pod["metadata"]["uid"] for pod in release.pods()} & upgraded
        _go_on(cluster, (TEAM_B, "ticks"))
    count = 0
    with step("the rest of both"):
        for namespace, name in ((TEAM_A, "nycflights"), (TEAM_B, "ticks")):
            finished = ("--for=condition=Finished", f"workflow/{name}", "-n", namespace)
            cluster.kubectl("wait", *finished, "--timeout=600s", timeout=610)
            workflow = cluster.get("workflow", name, "-n", namespace)
            assert workflow["status"]["phase"] == "Succeeded", workflow["status"].get("message")
            count += each_attempt_was_created_once(log, namespace, [workflow])
    verified = subprocess.run(
        [sys.executable, FLIGHTS / "verify.py", cluster.volumes / TEAM_A / "nycflights-data"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    release.nothing_was_forbidden()
    say(f"{count} pods, each created once over an upgrade and a rollback; the figures are right")


def _go_on(cluster: Cluster, *runs: tuple[str, str]) -> None:
    """See that what was done to the release was done in mid-run."""
    for namespace, name in runs:
        status = cluster.get("workflow", name, "-n", namespace)["status"]
        assert "completionTime" not in status, f"{name} was over too early for this to show anything"


def _uninstall_in_mid_run(release: Release) -> AuditLog:
    """Remove the release while runs are under way. Returns the audit log from their beginning on."""
    cluster = release.cluster
    assert cluster.audit_log is not None
    log = AuditLog.from_now(cluster.audit_log)
    cluster.apply(sleeper("stays", 20), sleeper("goes", 600), namespace=TEAM_B)
    wait_until("both to run", lambda: len(_running(cluster, TEAM_B)) == 2, 60)
    assert len(held(cluster, TEAM_B)) == 2, "what runs is held until its outcome is on record"
    with step("helm uninstall in mid-run"):
        printed = release.uninstall()
        assert "Error" not in printed, printed
        release.is_gone()
    assert not held(cluster, TEAM_A, TEAM_B), f"still held: {held(cluster, TEAM_A, TEAM_B)}"
    assert all(install._crd(cluster, name) for name in install.CRDS), "crds.keep is true, and a CRD is gone"
    assert cluster.get("workflow", "nycflights", "-n", TEAM_A)["status"]["phase"] == "Succeeded"
    assert len(_running(cluster, TEAM_B)) == 2, "what runs goes on without an operator"
    with step("a run is deleted without an operator"):
        cluster.kubectl("delete", "workflow", "goes", "-n", TEAM_B, "--timeout=30s")
        wait_until("its pod to go", lambda: not _running(cluster, TEAM_B, "goes"), 90)
    return log


def _running(cluster: Cluster, namespace: str, name: str = "") -> list[str]:
    pods = cluster.get("pods", "-n", namespace, "-l", "fairlead.dev/workflow-uid")["items"]
    names = [pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") == "Running"]
    return [each for each in names if each.startswith(name)]


def _install_for_some(release: Release, log: AuditLog) -> None:
    """Helm 3 installs it for two namespaces; what was under way there goes on, and elsewhere nothing is touched."""
    cluster = release.cluster
    options = ("--set", f"replicas=2,watchNamespaces={{{TEAM_A},{TEAM_B}}}", *FULL)
    with step("Helm 3: install again, for two namespaces; helm test"):
        release.change("install", *options, *_owned(cluster, 3))
        assert "Succeeded" in release.test()
    with step("the run that was under way goes on where it stood"):
        cluster.kubectl("wait", "--for=condition=Finished", "workflow/stays", "-n", TEAM_B, "--timeout=90s", timeout=95)
        stays = cluster.get("workflow", "stays", "-n", TEAM_B)
        assert stays["status"]["phase"] == "Succeeded", stays["status"].get("message")
        created = [name for name in log.created(TEAM_B).elements() if name.startswith("stays")]
        assert len(created) == len(set(created)) == 2, created
    with step("a namespace that is not served is left alone"):
        cluster.apply(sleeper("elsewhere", 1), namespace=OTHERS)
        cluster.apply(sleeper("here", 1), namespace=TEAM_B)
        cluster.kubectl("wait", "--for=condition=Finished", "workflow/here", "-n", TEAM_B, "--timeout=90s", timeout=95)
        assert "status" not in cluster.get("workflow", "elsewhere", "-n", OTHERS)
        assert not cluster.get("pods", "-n", OTHERS)["items"]
    _rights(release)
    for pod in release.pods():
        name = pod["metadata"]["name"]
        served = [release.sample(name, "fairlead_namespace_served", namespace=each) for each in (TEAM_A, TEAM_B)]
        assert served == [1.0, 1.0], f"{name}: {served}"
    release.nothing_was_forbidden()
    with step("Helm 3: upgrade and roll back"):
        release.change("upgrade", *options, "--set", "logLevel=DEBUG")
        release.rollback(1)
        assert len(release.pods()) == 2


def _rights(release: Release) -> None:
    """Ask the API server what the operator may do: all of it in its namespaces, and nothing elsewhere."""
    namespaced = [
        (verb, resource) for resource, verbs in install.ALLOWED.items() for verb in verbs if "=" not in resource
    ]
    wanted = [*((*each, TEAM_A, True) for each in namespaced), *((*each, OTHERS, False) for each in namespaced)]
    wanted += [("get", "secrets", TEAM_A, False), ("get", "secrets", NAMESPACE, False), ("list", "pods", "", False)]
    wanted += [("get", f"secrets={RELEASE}-webhook-tls", NAMESPACE, True)]
    reviews = [
        install.review(verb, resource, account=(NAMESPACE, RELEASE), namespace=where)
        for verb, resource, where, _ in wanted
    ]
    answers = install.allowed(release.cluster, reviews)
    wrong = [
        f"{'must' if expected else 'must not'} be allowed to {verb} {resource} in {where or 'all namespaces'}"
        for (verb, resource, where, expected), answer in zip(wanted, answers, strict=True)
        if answer is not expected
    ]
    assert not wrong, f"the operator's service account: {'; '.join(wrong)}"


def _delete_a_namespace(release: Release) -> None:
    """A namespace that is served goes with all that runs in it, rights included; the other one does not notice."""
    cluster = release.cluster
    job = {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "job"},
        "spec": {
            "tasks": [
                {
                    "name": "long",
                    "job": {
                        "spec": {
                            "template": {
                                "spec": {
                                    "containers": [
                                        {"name": "main", "image": "busybox:1.36", "command": ["sleep", "600"]}
                                    ]
                                }
                            }
                        }
                    },
                }
            ]
        },
    }
    cluster.apply(sleeper("long", 600), job, namespace=TEAM_A)
    wait_until("a pod and a Job to be held", lambda: len(held(cluster, TEAM_A)) == 2, 60)
    with step("a namespace that is served is deleted in mid-run"):
        cluster.kubectl("delete", "namespace", TEAM_A, "--timeout=120s", timeout=130)
        cluster.apply(sleeper("after", 1), namespace=TEAM_B)
        cluster.kubectl("wait", "--for=condition=Finished", "workflow/after", "-n", TEAM_B, "--timeout=90s", timeout=95)
    assert all(pod["status"]["containerStatuses"][0]["restartCount"] == 0 for pod in release.pods())


def _remove_everything(release: Release, had_crds: list[str]) -> None:
    """With `crds.keep=false`, nothing at all is left; unless there are objects of others, which that would delete."""
    cluster = release.cluster
    ours = (TEAM_A, TEAM_B, OTHERS, NAMESPACE)
    others = [
        each["metadata"]["namespace"]
        for name in install.CRDS
        for each in cluster.get(name, "--all-namespaces")["items"]
        if each["metadata"]["namespace"] not in ours
    ]
    if others or had_crds:
        say("the CRDs are not removed: they were there before, and so may be objects of others")
        with step("Helm 3: uninstall"):
            release.uninstall()
            release.is_gone()
        return
    options = ("--set", f"replicas=2,watchNamespaces={{{TEAM_B}}},crds.keep=false", *FULL)
    with step("Helm 3: uninstall with crds.keep=false, where runs are under way"):
        release.change("upgrade", *options)
        cluster.apply(sleeper("last", 600), namespace=TEAM_B)
        wait_until("it to run", lambda: len(_running(cluster, TEAM_B, "last")) == 1, 60)
        release.uninstall()
        release.is_gone()
        wait_until("the CRDs to go", lambda: not any(install._crd(cluster, name) for name in install.CRDS), 90)
        wait_until("the pods to go", lambda: not _running(cluster, TEAM_B), 90)


def _undo(release: Release) -> None:
    """Remove whatever is there of this test, in the order in which nothing gets stuck. Harmless where nothing is."""
    cluster = release.cluster
    namespaces = (TEAM_A, TEAM_B, OTHERS)
    if install._crd(cluster):
        for namespace in namespaces:
            cluster.kubectl("delete", "workflows", "--all", "-n", namespace, "--wait=false")
    if cluster.kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", "-o", "name").strip():
        release.helm("uninstall", RELEASE, "--ignore-not-found", "--no-hooks")
    fairlead = Path(sys.executable).with_name("fairlead")
    everywhere = [part for namespace in namespaces for part in ("-n", namespace)]
    subprocess.run([fairlead, "release", *everywhere], env=cluster.environment, check=True, timeout=120)
    cluster.kubectl("delete", "namespace", *namespaces, NAMESPACE, "--ignore-not-found", "--timeout=120s", timeout=130)
    for kind in ("clusterroles", "clusterrolebindings"):
        names = [each["metadata"]["name"] for each in cluster.get(kind)["items"]]
        for name in names:
            if name.startswith(f"{NAMESPACE}:"):
                cluster.kubectl("delete", kind, name)


def _tell_what_there_is(cluster: Cluster) -> None:
    """Print what helps to find the cause of a failure, before all of it is removed."""
    print("e2e-helm: it failed, and this is what there was:", file=sys.stderr)
    wanted: list[tuple[str, ...]] = [
        ("get", "pods,jobs,events", "-n", NAMESPACE),
        ("logs", "-n", NAMESPACE, "-l", f"app.kubernetes.io/instance={RELEASE}", "--tail=60", "--prefix"),
    ]
    wanted += [("get", "workflows,pods,jobs,events", "-n", namespace) for namespace in (TEAM_A, TEAM_B, OTHERS)]
    for arguments in wanted:
        try:
            printed = cluster.kubectl(*arguments)
        except (CommandFailed, subprocess.TimeoutExpired) as error:
            printed = str(error)
        print(f"$ kubectl {' '.join(arguments)}\n{printed}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
