"""Fairlead and its Workflows, delivered by a real Argo CD."""

from __future__ import annotations

import json
import time
from datetime import datetime
from functools import partial
from typing import Any

import pytest
import yaml
from e2e.audit import resource_of
from e2e.gitops.argocd import ArgoCD
from e2e.gitops.installation import ROOT
from e2e.gitops.repository import Repository
from e2e.gitops.team import Team
from e2e.kubectl import Cluster, CommandFailed, wait_until
from e2e.pod_security import assert_enforced
from e2e.workflows import sh, workflow

from fairlead.api import labels

Object = dict[str, Any]

#: By default an Application is looked at every two minutes, and up to one more: an hour is 30 resyncs at most.
RESYNCS_OF_AN_HOUR = 30


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def created(obj: Object) -> datetime:
    return when(obj["metadata"]["creationTimestamp"])


def is_gone(cluster: Cluster, *where: str) -> bool:
    try:
        cluster.kubectl("get", *where)
    except CommandFailed as error:
        return "not found" in str(error)
    return False


LONG = sh("sleep 600")
SHORT = sh("true")


class TestInstallation:
    def test_crds_operator_template_and_run_come_in_their_waves(self, cluster: Cluster, installed: Object) -> None:
        crd = cluster.get("crd", "workflows.fairlead.dev")
        deployment = cluster.get("deployment", "fairlead", "-n", "fairlead")
        template = cluster.get("workflowtemplate", "sales", "-n", "sales")
        run = cluster.get("workflow", "sales-2026-11-22", "-n", "sales")
        [available] = [each for each in deployment["status"]["conditions"] if each["type"] == "Available"]
        [valid] = [each for each in template["status"]["conditions"] if each["type"] == "Valid"]
        [established] = [each for each in crd["status"]["conditions"] if each["type"] == "Established"]
        assert when(established["lastTransitionTime"]) <= created(deployment)
        assert when(available["lastTransitionTime"]) <= created(template)
        assert when(valid["lastTransitionTime"]) <= created(run)
        assert run["status"]["phase"] == "Succeeded"

    def test_each_of_our_objects_has_a_health_of_its_own(self, installed: Object) -> None:
        ours = {
            each["kind"]: each.get("health", {}).get("status")
            for each in installed["status"]["resources"]
            if each.get("group") == "fairlead.dev"
        }
        assert ours == {"WorkflowTemplate": "Healthy", "Workflow": "Healthy"}

    def test_the_restricted_profile_is_enforced_where_the_operator_runs(
        self, cluster: Cluster, installed: Object
    ) -> None:
        assert_enforced(cluster, "fairlead", "app.kubernetes.io/instance=fairlead")

    def test_crds_are_not_pruned(self, cluster: Cluster, installed: Object) -> None:
        annotations = cluster.get("crd", "workflows.fairlead.dev")["metadata"]["annotations"]
        assert annotations["argocd.argoproj.io/sync-options"] == "Prune=false"


class TestHealth:
    def test_a_failing_workflow_degrades_its_application(self, team: Team) -> None:
        team.apply({"good.yaml": workflow("good", {"a": SHORT}), "bad.yaml": workflow("bad", {"a": sh("exit 3")})})
        team.wait("Synced", "Degraded")
        assert team.health("good")["status"] == "Healthy"
        assert team.health("bad")["status"] == "Degraded"
        revision = team.commit({"bad.yaml": None})
        team.wait("Synced", "Healthy", revision)

    def test_it_progresses_while_a_workflow_runs_and_is_suspended_with_it(self, team: Team) -> None:
        team.apply({"run.yaml": workflow("run", {"a": LONG})})
        team.workflows.wait_phase("run", "a", "Running")
        team.wait("Synced", "Progressing")
        revision = team.commit({"run.yaml": workflow("run", {"a": LONG}, suspend=True)})
        team.wait("Synced", "Suspended", revision)

    def test_a_broken_template_degrades_its_application(self, team: Team) -> None:
        template = {**workflow("t", {"a": {**SHORT, "needs": ["b"]}}), "kind": "WorkflowTemplate"}
        team.apply({"template.yaml": template})
        team.wait("Synced", "Degraded")


class TestHooks:
    @staticmethod
    def release(team: Team, repository: Repository) -> Object:
        """examples/gitops/argocd/release.yaml, for the test's namespace; a sync that fails is not tried again."""
        found: Object = yaml.safe_load((ROOT / "examples" / "gitops" / "argocd" / "release.yaml").read_text())
        source = {**found["spec"]["source"], "repoURL": repository.url, "path": team.name}
        team.argocd.application(
            team.name, source, team.name, syncPolicy={**found["spec"]["syncPolicy"], "retry": {"limit": 0}}
        )
        return found

    @staticmethod
    def files() -> dict[str, Any]:
        folder = ROOT / "examples" / "gitops" / "release"
        return {path.name: yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))}

    def test_workflows_run_before_and_after_what_is_applied(self, team: Team, repository: Repository) -> None:
        team.commit(self.files())
        self.release(team, repository)
        application = team.wait("Synced", "Healthy")
        wait_until(
            "the sync to end", lambda: team.argocd.get(team.name)["status"]["operationState"]["phase"] == "Succeeded"
        )
        before, after = (team.workflows.get(f"{name}-release") for name in ("before", "after"))
        settings = team.argocd.cluster.get("configmap", "settings", "-n", team.name)
        assert when(before["status"]["completionTime"]) <= created(settings) <= created(after)
        assert after["status"]["phase"] == "Succeeded"
        hooks = {
            each["name"]: (each["hookType"], each["hookPhase"])
            for each in team.argocd.get(team.name)["status"]["operationState"]["syncResult"]["resources"]
            if each.get("hookType")
        }
        assert hooks == {"before-release": ("PreSync", "Succeeded"), "after-release": ("PostSync", "Succeeded")}
        others = [each["name"] for each in application["status"]["resources"] if not each.get("hook")]
        assert others == ["settings"]

        # The next release runs them again, as other runs.
        files = self.files()
        files["settings.yaml"]["data"]["release"] = "2"
        revision = team.commit({"settings.yaml": files["settings.yaml"]})
        team.wait("Synced", "Healthy", revision)
        wait_until("the second hook to run", lambda: self.has_run_again(team, after))

    @staticmethod
    def has_run_again(team: Team, before: Object) -> bool:
        try:
            found = team.workflows.get("after-release")
        except CommandFailed:
            return False  # the last one is deleted before the next is created
        again: bool = found["metadata"]["uid"] != before["metadata"]["uid"]
        return again and found.get("status", {}).get("phase") == "Succeeded"

    def test_nothing_is_applied_where_the_workflow_before_fails(self, team: Team, repository: Repository) -> None:
        files = self.files()
        files["before.yaml"]["spec"]["tasks"][0]["container"]["command"] = ["false"]
        team.commit(files)
        self.release(team, repository)

        def failed() -> bool:
            state = team.argocd.get(team.name).get("status", {}).get("operationState", {})
            return bool(state.get("phase") in ("Failed", "Error"))

        wait_until("the sync to fail", failed, 90)
        assert team.workflows.status("before-release")["phase"] == "Failed"
        assert is_gone(team.argocd.cluster, "configmap", "settings", "-n", team.name)
        assert is_gone(team.argocd.cluster, "workflow", "after-release", "-n", team.name)

    def test_a_sync_fails_where_the_workflow_after_it_fails(self, team: Team, repository: Repository) -> None:
        files = self.files()
        files["after.yaml"]["spec"]["tasks"][0]["container"]["command"] = ["false"]
        team.commit(files)
        self.release(team, repository)
        wait_until(
            "the sync to fail",
            lambda: team.argocd.get(team.name).get("status", {}).get("operationState", {}).get("phase") == "Failed",
            90,
        )
        assert team.workflows.status("after-release")["phase"] == "Failed"


class TestSelfHealAndPrune:
    def test_a_change_by_hand_is_undone_and_the_run_goes_on(self, team: Team) -> None:
        run = workflow("run", {"a": LONG, "b": sh("sleep 5", needs=["a"])}, parallelism=2)
        team.apply({"run.yaml": run})
        team.workflows.wait_phase("run", "a", "Running")
        team.wait("Synced", "Progressing")
        uid = team.workflows.get("run")["metadata"]["uid"]
        team.workflows.patch("run", {"parallelism": 9})
        wait_until("self-heal", lambda: team.workflows.get("run")["spec"]["parallelism"] == 2, 60)
        team.wait("Synced", "Progressing")
        assert team.workflows.get("run")["metadata"]["uid"] == uid
        assert team.workflows.task("run", "a")["phase"] == "Running"
        assert len(team.workflows.audit.entries(team.name, "create", "pods")) == 1, "its pod is the same"

    def test_a_running_workflow_that_is_deleted_is_made_again(self, team: Team) -> None:
        team.apply({"run.yaml": workflow("run", {"a": LONG})})
        team.workflows.wait_phase("run", "a", "Running")
        before = team.workflows.get("run")["metadata"]["uid"]
        team.workflows.kubectl("delete", "workflow", "run", "--wait=false")

        def again() -> bool:
            try:
                return bool(team.workflows.get("run")["metadata"]["uid"] != before)
            except CommandFailed:
                return False

        wait_until("self-heal", again, 60)
        team.workflows.wait_phase("run", "a", "Running")
        wait_until("the old run's pods to be gone", lambda: not team.workflows.pods(f"{labels.RUN_UID}={before}"), 60)

    def test_a_running_workflow_that_leaves_git_is_pruned_with_its_pods(self, team: Team) -> None:
        names = ("stays", "goes")
        team.apply({f"{name}.yaml": workflow(name, {"a": LONG}) for name in names})
        for name in names:
            team.workflows.wait_phase(name, "a", "Running")
        uids = {name: team.workflows.get(name)["metadata"]["uid"] for name in names}
        revision = team.commit({"goes.yaml": None})
        team.wait("Synced", "Progressing", revision)
        wait_until("the run to be gone", lambda: is_gone(team.argocd.cluster, "workflow", "goes", "-n", team.name), 60)
        wait_until("its pods to be gone", lambda: not team.workflows.pods(f"{labels.RUN_UID}={uids['goes']}"), 60)
        assert team.workflows.get("stays")["metadata"]["uid"] == uids["stays"]
        assert len(team.workflows.pods(f"{labels.RUN_UID}={uids['stays']}")) == 1

    @staticmethod
    def is_shown(team: Team, kind: str, shown: tuple[str, str]) -> bool:
        return shown in team.argocd.below(team.name, kind)

    def test_what_a_run_makes_is_not_pruned(self, team: Team) -> None:
        template = {**workflow("part", {"a": SHORT}), "kind": "WorkflowTemplate"}
        run = workflow("run", {"sub": {"workflow": {"templateRef": {"name": "part"}}}, "job": _job(), "long": LONG})
        run["metadata"]["labels"] = {"app.kubernetes.io/instance": "somebody"}
        team.apply({"run.yaml": run, "large.yaml": large(), "part.yaml": template})
        team.workflows.wait_phase("run", "sub", "Succeeded")
        team.workflows.wait_phase("run", "job", "Succeeded")
        team.workflows.wait_phase("run", "long", "Running")
        wait_until("the shard", lambda: team.workflows.status("large").get("shards"))
        application = team.wait("Synced", "Progressing")
        made = {
            "Workflow": ("run", "Healthy"),
            "Job": ("run", "Healthy"),
            "Pod": ("run", "Progressing"),  # as every pod that has an end
            "TaskStatusShard": ("large", "Healthy"),
        }
        for kind, shown in made.items():
            wait_until(f"a {kind} as {shown}", partial(self.is_shown, team, kind, shown))
        assert not [each for each in application["status"]["resources"] if each.get("requiresPruning")]
        for kind in ("workflows", "pods", "jobs"):
            for each in team.argocd.cluster.get(kind, "-n", team.name)["items"]:
                if each["metadata"]["name"] in ("run", "large"):
                    continue  # from git
                assert "app.kubernetes.io/instance" not in each["metadata"].get("labels", {}), each["metadata"]["name"]
                assert not [key for key in each["metadata"].get("annotations", {}) if "argocd.argoproj.io" in key]

    def test_a_run_that_has_ended_is_made_again_by_another_definition_on_request(self, team: Team) -> None:
        force = {"argocd.argoproj.io/sync-options": "Force=true,Replace=true"}

        def run(text: str) -> Object:
            found = workflow("run", {"a": sh(f"echo {text}")})
            found["metadata"]["annotations"] = force
            return found

        team.apply({"run.yaml": run("one")})
        team.wait("Synced", "Healthy")
        before = team.workflows.get("run")["metadata"]["uid"]
        revision = team.commit({"run.yaml": run("two")})
        team.wait("Synced", "Healthy", revision)
        after = team.workflows.get("run")
        assert after["metadata"]["uid"] != before
        assert after["status"]["phase"] == "Succeeded"


def large() -> Object:
    """A run that has more tasks than are recorded in a Workflow, and one pod."""
    return workflow("large", {"a": LONG, **{f"b-{i}": {**SHORT, "needs": ["a"]} for i in range(200)}})


def _job() -> Object:
    container = {"name": "main", "image": "busybox:1.36", "command": ["true"], "resources": {"limits": {"cpu": "500m"}}}
    return {
        "job": {
            "spec": {"backoffLimit": 0, "template": {"spec": {"containers": [container], "restartPolicy": "Never"}}}
        }
    }


def everything() -> dict[str, Object]:
    """Runs in every state that lasts, with all that might be defaulted, normalised or written to."""
    approval = {"approval": {"message": "go?"}}
    quantities = {
        "image": "busybox:1.36",
        "command": ["sleep", "600"],
        "resources": {"requests": {"cpu": "0.01", "memory": "1e6"}},
    }
    ports = {**quantities, "ports": [{"containerPort": 80}], "env": [{"name": "A", "value": "1"}]}
    runs = {
        "running": workflow("running", {"a": {"container": ports, "pod": {"terminationGracePeriodSeconds": 1}}}),
        "listed": workflow(
            "listed", {"each": {**LONG, "forEach": {"in": [1, 2], "as": "item"}}, "then": {**SHORT, "needs": ["each"]}}
        ),
        "jobs": workflow("jobs", {"job": _job(), "sign-off": approval}),
        "parent": workflow("parent", {"sub": {"workflow": {"templateRef": {"name": "part"}}}}),
        "suspended": workflow("suspended", {"a": SHORT}, suspend=True),
        "succeeded": workflow("succeeded", {"a": SHORT}),
        "large": large(),
        "templated": {**workflow("templated", {}), "spec": {"templateRef": {"name": "part"}}},
    }
    template = {**workflow("part", {"a": SHORT, "b": {**LONG, "needs": ["a"]}}), "kind": "WorkflowTemplate"}
    return {f"{name}.yaml": each for name, each in {**runs, "part": template}.items()}


def resyncs(argocd: ArgoCD, name: str, count: int) -> tuple[int, set[str]]:
    """Follow an Application until it has been compared so many times; return how often, and each sync status seen."""
    compared: set[str] = set()
    seen: set[str] = set()
    deadline = time.monotonic() + 20 * count
    while len(compared) <= count:
        assert time.monotonic() < deadline, f"only {len(compared)} resyncs"
        status = argocd.get(name)["status"]
        compared.add(status["reconciledAt"])
        seen.add(status["sync"]["status"])
        time.sleep(0.3)
    return len(compared) - 1, seen


class TestDrift:
    @pytest.mark.parametrize("options", [[], ["ServerSideApply=true"]], ids=["client-side", "server-side"])
    def test_there_is_none_for_an_hour_of_resyncs(self, team: Team, options: list[str]) -> None:
        policy = {"automated": {"prune": True, "selfHeal": True}, "syncOptions": options}
        server_side = {"argocd.argoproj.io/compare-options": "ServerSideDiff=true"} if options else {}
        team.apply(everything(), syncPolicy=policy)
        if server_side:
            key, value = next(iter(server_side.items()))
            team.argocd.cluster.kubectl(
                "annotate", "applications.argoproj.io", team.name, "-n", "argocd", f"{key}={value}"
            )
        for name, task in (
            ("running", "a"),
            ("jobs", "sign-off"),
            ("listed", "each"),
            ("parent", "sub"),
            ("templated", "b"),
        ):
            team.workflows.wait_phase(name, task, "Running")
        team.workflows.wait_finished("succeeded")
        team.wait("Synced", "Progressing")
        syncs, audit = team.argocd.syncs(team.name), team.workflows.audit.from_now(team.workflows.audit.path)
        count, seen = resyncs(team.argocd, team.name, RESYNCS_OF_AN_HOUR)
        assert count >= RESYNCS_OF_AN_HOUR
        assert seen == {"Synced"}
        assert team.argocd.syncs(team.name) == syncs > 0, "nothing was healed, either"
        written = [
            (entry["user"]["username"], entry["verb"], resource_of(entry))
            for entry in audit.all_of(team.name)
            if entry["objectRef"].get("apiGroup") == "fairlead.dev"
            and entry["verb"] in ("create", "update", "patch", "delete")
            and "dryRun=" not in entry["requestURI"]  # what server-side diff asks for
        ]
        assert {what for _, _, what in written} <= {"workflows/status", "taskstatusshards"}, (
            "the operator writes what is recorded and nothing else"
        )
        with_words = f"{count} resyncs, {len(everything())} objects, {len(written)} writes of the record, no drift"
        print(f"\n{with_words}")

    def test_what_another_manager_has_applied_stays(self, team: Team) -> None:
        policy = {"automated": {"prune": True, "selfHeal": True}, "syncOptions": ["ServerSideApply=true"]}
        team.apply(
            {"run.yaml": workflow("run", {"a": sh("sleep 20"), "b": {**SHORT, "needs": ["a"]}})}, syncPolicy=policy
        )
        team.argocd.cluster.kubectl(
            *("annotate", "applications.argoproj.io", team.name, "-n", "argocd"),
            "argocd.argoproj.io/compare-options=ServerSideDiff=true",
        )
        team.workflows.wait_phase("run", "a", "Running")
        theirs = {
            "apiVersion": "fairlead.dev/v1alpha1",
            "kind": "Workflow",
            "metadata": {"name": "run", "labels": {"cost-centre": "7"}, "annotations": {"example.com/owner": "ann"}},
            "spec": {"priority": 5},
        }
        team.argocd.cluster.kubectl(
            *("apply", "--server-side", "--field-manager=finance", "-n", team.name, "-f", "-"), stdin=json.dumps(theirs)
        )
        before = _owned(team, "finance")
        count, seen = resyncs(team.argocd, team.name, 5)
        assert (count >= 5, seen) == (True, {"Synced"})
        team.workflows.wait_finished("run")
        team.wait("Synced", "Healthy")
        after = team.workflows.get("run")
        assert after["spec"]["priority"] == 5
        assert after["metadata"]["labels"]["cost-centre"] == "7"
        assert after["metadata"]["annotations"]["example.com/owner"] == "ann"
        assert _owned(team, "finance") == before
        managers = {
            (each["manager"].split("/")[0], each.get("subresource", ""), key)
            for each in _managed(team)
            for key in each["fieldsV1"]
            if each["manager"] not in ("finance", "argocd-controller")
        }
        assert {(part, key) for _, part, key in managers} == {("status", "f:status")}, managers


def _managed(team: Team) -> list[Object]:
    found = team.argocd.cluster.get("workflow", "run", "-n", team.name, "--show-managed-fields")
    return list(found["metadata"]["managedFields"])


def _owned(team: Team, manager: str) -> Object:
    [entry] = [each for each in _managed(team) if each["manager"] == manager]
    fields: Object = entry["fieldsV1"]
    return fields


class TestActions:
    """Asked for through Argo CD's own API, judged by the admission policy of the chart."""

    def test_what_failed_is_retried(self, team: Team) -> None:
        flag = sh('test "$FAIRLEAD_ATTEMPT" = 2')
        team.apply({"run.yaml": workflow("run", {"a": flag})})
        team.wait("Synced", "Degraded")
        run = team.workflows.get("run")
        offered = team.argocd.actions(team.name, run)
        assert {name for name, enabled in offered.items() if enabled} == {"retry", "clear"}
        team.argocd.act(team.name, run, "retry")
        team.wait("Synced", "Healthy")
        status = team.workflows.status("run")
        assert status["epoch"] == 2
        assert [(each["action"], each["accepted"], each["by"]) for each in status["actions"]] == [
            ("Retry", True, "system:serviceaccount:argocd:argocd-server")
        ]
        wait_until("it to be seen", lambda: team.argocd.below(team.name, "WorkflowAction") == {("run", "Healthy")})

    def test_an_approval_is_given(self, team: Team) -> None:
        team.apply(
            {"run.yaml": workflow("run", {"sign-off": {"approval": {"message": "go?", "options": ["all", "canary"]}}})}
        )
        team.workflows.wait_phase("run", "sign-off", "Running")
        team.wait("Synced", "Progressing")
        team.argocd.act(team.name, team.workflows.get("run"), "approve", option="canary")
        team.wait("Synced", "Healthy")
        assert team.workflows.task("run", "sign-off")["outputs"]["option"] == "canary"

    def test_a_run_is_suspended_resumed_and_cancelled_without_drift(self, team: Team) -> None:
        team.apply({"run.yaml": workflow("run", {"a": LONG})})
        team.workflows.wait_phase("run", "a", "Running")
        team.wait("Synced", "Progressing")
        team.argocd.act(team.name, team.workflows.get("run"), "suspend")
        team.wait("Synced", "Suspended")
        _, seen = resyncs(team.argocd, team.name, 3)
        assert seen == {"Synced"}, "Git does not mention spec.suspend: it is nobody's but that action's"
        team.argocd.act(team.name, team.workflows.get("run"), "resume")
        team.wait("Synced", "Progressing")
        team.argocd.act(team.name, team.workflows.get("run"), "cancel")
        team.wait("Synced", "Degraded")
        assert team.workflows.status("run")["phase"] == "Cancelled"

    def test_a_template_is_submitted(self, team: Team) -> None:
        template = {**workflow("part", {"a": SHORT}), "kind": "WorkflowTemplate"}
        template["spec"]["params"] = [{"name": "rows", "type": "integer"}, {"name": "note", "default": "none"}]
        template["spec"]["outputs"] = [{"name": "rows", "value": "${params.rows}"}]
        team.apply({"part.yaml": template})
        team.wait("Synced", "Healthy")
        found = team.argocd.cluster.get("workflowtemplate", "part", "-n", team.name)
        team.argocd.act(team.name, found, "submit", rows="3", note="")
        [run] = wait_until("the run", lambda: team.argocd.cluster.get("workflows", "-n", team.name)["items"])
        status = team.workflows.wait_finished(run["metadata"]["name"])
        assert (status["phase"], status["outputs"]) == ("Succeeded", {"rows": 3})
        revision = team.commit({"other.yaml": workflow("other", {"a": SHORT})})
        team.wait("Synced", "Healthy", revision)
        assert team.workflows.get(run["metadata"]["name"]), "it is not pruned"
        wait_until("it to be seen", lambda: team.argocd.below(team.name, "Workflow") == {("part", "Healthy")})
        revision = team.commit({"part.yaml": None})
        team.wait("Synced", "Healthy", revision)
        where = ("workflow", run["metadata"]["name"], "-n", team.name)
        wait_until("it to go with its template", lambda: is_gone(team.argocd.cluster, *where), 60)

    def test_a_run_that_may_not_be_retried_says_why(self, team: Team) -> None:
        team.apply({"run.yaml": workflow("run", {"a": LONG})})
        team.workflows.wait_phase("run", "a", "Running")
        team.wait("Synced", "Progressing")
        team.argocd.act(team.name, team.workflows.get("run"), "retry")

        def refused() -> str:
            for each in team.argocd.cluster.get("workflowactions", "-n", team.name)["items"]:
                for condition in each.get("status", {}).get("conditions", ()):
                    if (condition["type"], condition["status"]) == ("Accepted", "False"):
                        return str(condition["reason"])
            return ""

        assert wait_until("the answer", refused) == "RunActive"
        wait_until("it to be seen", lambda: team.argocd.below(team.name, "WorkflowAction") == {("run", "Degraded")})
        team.wait("Synced", "Progressing")
