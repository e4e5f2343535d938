"""`make e2e-helm`: what docs/operations.md tells a platform engineer to do, done, and looked at.

The image is built by a real builder. Helm 4 installs the chart where the API server enforces the restricted Pod
Security profile; the flights pipeline runs under it, and the release is upgraded and rolled back meanwhile; it is
removed while a run is under way. Helm 3 installs it again, for two namespaces only, and the run goes on.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from e2e import dev_operator, install
from e2e.audit import AuditLog
from e2e.devcluster import binaries, builds, existing, state
from e2e.devcluster.progress import Failure, say, step
from e2e.kubectl import Cluster, CommandFailed, wait_until
from e2e.pod_security import RESTRICTED, assert_enforced
from fairlead import __version__

from . import image
from .page import Page
from .release import NAMESPACE, RELEASE, Release
from .runs import each_attempt_was_created_once, held, sleeper, wait_for_tasks

ROOT = Path(__file__).resolve().parents[2]
FLIGHTS = ROOT / "examples" / "nycflights"
#: Where people work: two that the operator of the second half serves, and one that it does not.
TEAM_A, TEAM_B, OTHERS = (f"{NAMESPACE}-{name}" for name in ("team-a", "team-b", "others"))
FULL = ("--set", "webhook.enabled=true,networkPolicy.enabled=true")
#: What the page calls them.
NAMES = {
    "--namespace fairlead": f"--namespace {NAMESPACE}",
    "namespaces/fairlead": f"namespaces/{NAMESPACE}",
    "system:serviceaccount:fairlead": f"system:serviceaccount:{NAMESPACE}",
    "team-a": TEAM_A,
    "team-b": TEAM_B,
    "--namespace others": f"--namespace {OTHERS}",
    "NAMESPACE": TEAM_B,
    # There may be runs of others on this cluster.
    "release --all-namespaces": f"release -n {TEAM_A} -n {TEAM_B} -n {OTHERS}",
}
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
        with tempfile.TemporaryDirectory(prefix="fairlead-e2e-helm-") as folder:
            releases = [Release(cluster, programs[name], Path(folder, name)) for name in ("helm", "helm3")]
            _all_of_it(*releases)
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
    page = Page((ROOT / "docs" / "operations.md").read_text(), NAMES)
    _undo(helm4)
    had_crds = [name for name in install.CRDS if install._crd(cluster, name)]
    try:
        _namespaces(cluster)
        _install(helm4, page)
        _webhook(helm4, page)
        _flights(helm4, page)
        unfinished = _uninstall_in_mid_run(helm4, page)
        _install_for_some(helm3, page, unfinished)
        _delete_a_namespace(helm3, page)
        _remove_everything(helm3, had_crds)
        assert not page.unrun(), f"docs/operations.md has commands that were not run: {page.unrun()}"
    except BaseException:
        _tell_what_there_is(cluster)
        raise
    finally:
        with step("cleaning up"):
            _undo(helm4)


def _namespaces(cluster: Cluster) -> None:
    # The volume of the flights belongs to root on the dev cluster, which is all that their namespace needs to allow.
    for name, pod_security in ((NAMESPACE, RESTRICTED), (TEAM_A, {}), (TEAM_B, RESTRICTED), (OTHERS, RESTRICTED)):
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": pod_security}}
        cluster.kubectl("create", "-f", "-", stdin=json.dumps(namespace))


def _owned(cluster: Cluster, version: int) -> tuple[str, ...]:
    """Return the flags by which CRDs that are there become the release's."""
    return OWNERSHIP[version] if install._crd(cluster) else ()


def _install(release: Release, page: Page) -> None:
    with step("Helm 4: lint, install, where pods must satisfy the restricted profile; helm test"):
        release.helm("lint", "--strict", str(ROOT / "charts" / "fairlead"))
        install_, test = page.commands("Install")
        printed = page.run(install_, release.environment, *_owned(release.cluster, 4))
        assert "would violate" not in printed, printed
        assert f"helm test {RELEASE}" in printed, f"the notes are missing: {printed}"
        printed = page.run(test, release.environment)
        assert "Succeeded" in printed, printed
    with step("what there is to be seen"):
        for command in page.commands("See that it is well"):
            assert page.run(command, release.environment).strip(), command
    for path in ("/healthz", "/readyz"):
        checks = json.loads(release.ask(path))
        assert set(checks.values()) == {"ok"}, f"{path}: {checks}"
    [pod] = release.pods()
    [container] = pod["spec"]["containers"]
    assert container["image"] == builds.catalogue()["operator"].name, container["image"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    _is_restricted(release)


def _is_restricted(release: Release) -> None:
    selector = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=operator"
    assert_enforced(release.cluster, NAMESPACE, selector)


def _webhook(release: Release, page: Page) -> None:
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
    with step("its certificate is thrown away, and made anew within a minute or so"):
        [anew] = [each for each in page.commands("Incidents") if "patch secret" in each]
        before = _certificate(release)
        page.run(anew, release.environment)
        wait_until("another certificate", lambda: _certificate(release) not in ("", before), 90, interval=1)
        wait_until("the webhook to be believed again", refused, 60, interval=1)
    expires = release.sample(name, "fairlead_webhook_certificate_expiry_timestamp_seconds")
    assert expires - time.time() > 80 * 86400, f"the certificate expires at {expires}"


def _certificate(release: Release) -> str:
    secret = release.cluster.get("secret", f"{RELEASE}-webhook-tls", "-n", NAMESPACE)
    return str(secret.get("data", {}).get("tls.crt", ""))


def _flights(release: Release, page: Page) -> None:
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
        upgrade, history, rollback = page.commands("Upgrade and roll back")
        page.run(upgrade, release.environment)
        assert "superseded" in page.run(history, release.environment)
        wait_until("the one before to be gone, which Helm does not wait for", lambda: len(release.pods()) == 2, 60)
        upgraded = {pod["metadata"]["uid"] for pod in release.pods()}
        assert not upgraded & first, "the upgrade has replaced nothing"
        _go_on(cluster, (TEAM_A, "nycflights"), (TEAM_B, "ticks"))
    with step("helm rollback in mid-run"):
        page.run(rollback, release.environment)
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


def _uninstall_in_mid_run(release: Release, page: Page) -> AuditLog:
    """Remove the release while runs are under way. Returns the audit log from their beginning on."""
    cluster = release.cluster
    assert cluster.audit_log is not None
    log = AuditLog.from_now(cluster.audit_log)
    cluster.apply(sleeper("stays", 40), sleeper("goes", 600), namespace=TEAM_B)
    wait_until("both to run", lambda: len(_running(cluster, TEAM_B)) == 2, 60)
    assert len(held(cluster, TEAM_B)) == 2, "what runs is held until its outcome is on record"
    with step("helm uninstall in mid-run"):
        [uninstall] = page.commands("Remove")
        printed = page.run(uninstall, release.environment)
        assert "Error" not in printed, printed
        release.is_gone()
    assert not held(cluster, TEAM_A, TEAM_B), f"still held: {held(cluster, TEAM_A, TEAM_B)}"
    assert all(install._crd(cluster, name) for name in install.CRDS), "crds.keep is true, and a CRD is gone"
    assert cluster.get("workflow", "nycflights", "-n", TEAM_A)["status"]["phase"] == "Succeeded"
    assert len(_running(cluster, TEAM_B, "stays")) == 1, "what runs goes on without an operator"
    with step("a run is deleted without an operator"):
        cluster.kubectl("delete", "workflow", "goes", "-n", TEAM_B, "--timeout=30s")
        wait_until("its pod to go", lambda: not _running(cluster, TEAM_B, "goes"), 90)
    with step("a pod ends without an operator"):
        wait_until("it to end", lambda: not _running(cluster, TEAM_B, "stays"), 90)
    return log


def _running(cluster: Cluster, namespace: str, name: str = "") -> list[str]:
    pods = cluster.get("pods", "-n", namespace, "-l", "fairlead.dev/workflow-uid")["items"]
    names = [pod["metadata"]["name"] for pod in pods if pod["status"].get("phase") == "Running"]
    return [each for each in names if each.startswith(name)]


def _install_for_some(release: Release, page: Page, log: AuditLog) -> None:
    """Helm 3 installs it for two namespaces; what was under way there goes on, and elsewhere nothing is touched."""
    cluster = release.cluster
    with step("Helm 3: install again, then for two namespaces only; helm test"):
        install_, test = page.commands("Install")
        page.run(install_, release.environment, "--set", "replicas=2", *_owned(cluster, 3))
        upgrade, yes, no = page.commands("Some namespaces only")
        page.run(upgrade, release.environment)
        assert "Succeeded" in page.run(test, release.environment)
        assert page.run(yes, release.environment).strip() == "yes"
        assert page.run(no, release.environment, fails=True).strip().startswith("no")
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
        status = cluster.get("workflow", "elsewhere", "-n", OTHERS)["status"]
        assert status == {"observedGeneration": 0}, f"somebody has looked at it: {status}"
        assert not cluster.get("pods", "-n", OTHERS)["items"]
    _rights(release)
    for pod in release.pods():
        name = pod["metadata"]["name"]
        served = [
            release.sample(name, "fairlead_namespace_served", watched_namespace=each) for each in (TEAM_A, TEAM_B)
        ]
        assert served == [1.0, 1.0], f"{name}: {served}"
    release.nothing_was_forbidden()
    _is_restricted(release)
    with step("Helm 3: upgrade and roll back"):
        upgrade, _, rollback = page.commands("Upgrade and roll back")
        page.run(upgrade, release.environment, "--set", "logLevel=DEBUG")
        page.run(rollback, release.environment)
        wait_until("two operators to be left", lambda: len(release.pods()) == 2, 60)


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


def _delete_a_namespace(release: Release, page: Page) -> None:
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

    def is_gone() -> bool:
        return not cluster.kubectl("get", "namespace", TEAM_A, "--ignore-not-found", "-o", "name").strip()

    with step("a namespace that is served is deleted in mid-run"):
        cluster.kubectl("delete", "namespace", TEAM_A, "--wait=false")
        try:
            wait_until("the namespace to go", is_gone, 60)
        except TimeoutError:  # the Job and the Role are deleted at the same time: docs/install.md says what to do then
            say("its Role went before the Job was let go of")
    with step("the other one does not notice"):
        cluster.apply(sleeper("after", 1), namespace=TEAM_B)
        cluster.kubectl("wait", "--for=condition=Finished", "workflow/after", "-n", TEAM_B, "--timeout=90s", timeout=95)
    assert all(pod["status"]["containerStatuses"][0]["restartCount"] == 0 for pod in release.pods())
    for command in page.commands("Incidents"):
        if command.startswith("fairlead release"):
            where = ("--namespace", TEAM_A) if "NAMESPACE" in command else ()
            page.run(command, release.environment, *where)
    wait_until("the namespace to go", is_gone, 60)


def _remove_everything(release: Release, had_crds: list[str]) -> None:
    """With `crds.keep=false`, nothing at all is left; unless there are objects of others, which that would delete."""
    cluster = release.cluster
    ours = (TEAM_A, TEAM_B, OTHERS, NAMESPACE)
    others = {
        each["metadata"]["namespace"]
        for name in install.CRDS
        for each in cluster.get(name, "--all-namespaces")["items"]
        if each["metadata"]["namespace"] not in ours
    }
    keep = "true" if others else "false"
    with step(f"Helm 3: uninstall with crds.keep={keep}, where a run is under way"):
        # A namespace that is gone has to come off the list: there is no place for a Role in it.
        values = f"watchNamespaces={{{TEAM_B}}},crds.keep={keep}"
        release.change("upgrade", "--reset-then-reuse-values", "--set", values)
        cluster.apply(sleeper("last", 600), namespace=TEAM_B)
        wait_until("it to run", lambda: len(_running(cluster, TEAM_B, "last")) == 1, 60)
        release.uninstall()
        release.is_gone()
    if others:
        say(f"the CRDs stay: there are objects of others, in {', '.join(sorted(others))}")
        return
    with step("and with the CRDs, everything goes"):
        wait_until("the CRDs to go", lambda: not any(install._crd(cluster, name) for name in install.CRDS), 90)
        wait_until("the pods to go", lambda: not _running(cluster, TEAM_B), 90)
    if had_crds:
        cluster.install_crds()


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
