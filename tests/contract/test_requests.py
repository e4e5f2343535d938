"""Who may ask for what of a run, by the real API server's word; and what it makes of our answers.

The policy is the chart's, under another name and bound to one namespace, so that nothing else on the cluster notices.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.kubectl import Cluster, CommandFailed, wait_until

from fairlead.clock import utc_now
from fairlead.controllers.actions import Actions, _Verdict, action_view
from fairlead.controllers.identity import POLICY, is_in_force
from fairlead.controllers.store import Workflow, WorkflowStore
from fairlead.kube.credentials import load_credentials
from fairlead.kube.errors import Conflict
from fairlead.kube.observer import NullObserver
from fairlead.kube.resources import ObjectKey
from fairlead.kube.session import Session
from fairlead.kube.transport import ApiClient

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "charts" / "fairlead" / "templates"
NAME = "fairlead-contract-requested-by"

Object = dict[str, Any]

_NUMBERS = itertools.count()


def documents(template: str) -> list[Object]:
    """A template's objects, with what Helm fills in left out."""
    text = re.sub(r"^.*\{\{.*\}\}.*$\n", "", (TEMPLATES / template).read_text(), flags=re.MULTILINE)
    return list(yaml.safe_load_all(text))


def action(**spec: Any) -> Object:
    asked = {"workflowName": "daily", "workflowUID": "u", "action": "Retry", "requestedBy": {"username": "ann"}}
    return {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "WorkflowAction",
        "metadata": {"name": f"a{next(_NUMBERS)}"},
        "spec": {key: value for key, value in (asked | spec).items() if value is not None},
    }


class Namespace:
    """The namespace that the policy is bound to."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name

    def create(self, document: Object, user: str = "", groups: tuple[str, ...] = (), *options: str) -> Object:
        who = [f"--as={user}", *(f"--as-group={each}" for each in groups)] if user else []
        command = ("create", "-n", self.name, "--validate=strict", "-o", "json", "-f", "-")
        return json.loads(self.cluster.kubectl(*command, *who, *options, stdin=json.dumps(document)))

    def refusal(self, document: Object, user: str = "ann", groups: tuple[str, ...] = ()) -> str:
        with pytest.raises(CommandFailed) as failed:
            self.create(document, user, groups, "--dry-run=server")
        return re.sub(r"\s+", " ", str(failed.value))


@pytest.fixture(scope="module")
def asked(api_server: Cluster, contract_namespace: str) -> Iterator[Namespace]:
    """The user ann has the chart's role `edit` there; sue may create actions, and retry one run."""
    policy, binding = documents("admission-policy.yaml")
    for each in (policy, binding):
        each["metadata"] = {"name": NAME}
    chosen = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": contract_namespace}}}
    binding["spec"] |= {"policyName": NAME, "matchResources": chosen}
    edit = next(
        each for each in documents("user-roles.yaml") if any("retry" in rule["verbs"] for rule in each["rules"])
    )
    roles = {
        "ann": edit["rules"],
        "sue": [
            {"apiGroups": ["fairlead.dev"], "resources": ["workflowactions"], "verbs": ["create"]},
            {"apiGroups": ["fairlead.dev"], "resources": ["workflows"], "verbs": ["retry"], "resourceNames": ["daily"]},
        ],
    }
    rights = []
    for user, rules in roles.items():
        rbac = "rbac.authorization.k8s.io"
        rights += [
            {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": user}, "rules": rules},
            {
                "apiVersion": f"{rbac}/v1",
                "kind": "RoleBinding",
                "metadata": {"name": user},
                "roleRef": {"apiGroup": rbac, "kind": "Role", "name": user},
                "subjects": [{"apiGroup": rbac, "kind": "User", "name": user}],
            },
        ]
    api_server.apply(*rights, namespace=contract_namespace)
    namespace = Namespace(api_server, contract_namespace)

    def in_force() -> bool:
        try:
            namespace.create(action(requestedBy={"username": "nobody"}), "ann", (), "--dry-run=server")
        except CommandFailed:
            return True
        return False

    try:
        for each in (policy, binding):
            api_server.kubectl("apply", "--validate=strict", "-f", "-", stdin=json.dumps(each))
        wait_until("the policy to be in force", in_force, 30)
        yield namespace
    finally:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            api_server.kubectl("delete", kind, NAME, "--ignore-not-found")


def test_one_may_ask_in_ones_own_name(asked: Namespace) -> None:
    asked.create(action(), "ann", (), "--dry-run=server")


def test_nobody_may_ask_in_the_name_of_somebody_else(asked: Namespace) -> None:
    message = asked.refusal(action(requestedBy={"username": "bob"}))
    assert "spec.requestedBy.username must be your own name, ann" in message


def test_nor_without_a_name(asked: Namespace) -> None:
    assert "must be your own name, ann" in asked.refusal(action(requestedBy=None))


def test_groups_are_ones_own(asked: Namespace) -> None:
    mine = action(requestedBy={"username": "ann", "groups": ["leads"]})
    asked.create(mine, "ann", ("leads", "others"), "--dry-run=server")
    assert "spec.requestedBy.groups must be groups of yours" in asked.refusal(mine, groups=("others",))
    assert "spec.requestedBy.groups must be groups of yours" in asked.refusal(mine)


def test_the_verb_of_the_action_is_asked_of_the_authorizer(asked: Namespace) -> None:
    message = asked.refusal(action(action="Mark", tasks=["a"], phase="Succeeded"))
    assert "you need the verb mark on the resource workflows of fairlead.dev, for daily in the namespace" in message


@pytest.mark.parametrize(
    "spec",
    [
        {"action": "Stop", "mode": "Cancel"},
        {"action": "Clear", "tasks": ["a"]},
        {"action": "Approve", "tasks": ["a"]},
        {"action": "Reject", "tasks": ["a"]},
        {"action": "Complete", "tasks": ["a"], "token": "t"},
        {"action": "Heartbeat", "tasks": ["a"], "token": "t"},
    ],
    ids=lambda spec: spec["action"],
)
def test_who_may_edit_may_ask_for_all_but_mark(asked: Namespace, spec: Object) -> None:
    asked.create(action(**spec), "ann", (), "--dry-run=server")


def test_a_verb_can_be_given_for_one_run(asked: Namespace) -> None:
    mine = {"username": "sue"}
    asked.create(action(requestedBy=mine), "sue", (), "--dry-run=server")
    assert "you need the verb retry" in asked.refusal(action(requestedBy=mine, workflowName="other"), "sue")
    stop = action(requestedBy=mine, action="Stop", mode="Cancel")
    assert "you need the verb stop" in asked.refusal(stop, "sue")


def test_the_operator_believes_the_policy_as_the_api_server_stores_it(asked: Namespace) -> None:
    policy = asked.cluster.get("validatingadmissionpolicy", NAME)
    binding = asked.cluster.get("validatingadmissionpolicybinding", NAME)
    assert not is_in_force(policy, binding)  # it is bound to one namespace, under another name
    binding["spec"].pop("matchResources")
    assert is_in_force(policy, {"spec": binding["spec"] | {"policyName": POLICY}})


async def test_an_answer_keeps_what_others_have_written_and_is_no_change_the_second_time(asked: Namespace) -> None:
    run = {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "daily"},
        "spec": {"tasks": [{"name": "a", "container": {"image": "x"}}]},
    }
    workflow = Workflow.of(asked.create(run))
    me = json.loads(asked.cluster.kubectl("auth", "whoami", "-o", "json"))["status"]["userInfo"]["username"]
    document = action(workflowUID=workflow.uid, requestedBy={"username": me})
    other = asked.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}})["metadata"]["uid"]
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "other", "uid": other}
    document["metadata"]["ownerReferences"] = [owner]
    raw = asked.create(document)
    key = ObjectKey(asked.name, raw["metadata"]["name"])
    moment = utc_now().strftime("%Y-%m-%dT%H:%M:%SZ")
    seen = {"type": "Seen", "status": "True", "lastTransitionTime": moment, "reason": "Mine", "message": ""}
    patch = json.dumps({"status": {"conditions": [seen]}})
    names = ("workflowaction", key.name, "-n", asked.name)
    asked.cluster.kubectl("patch", *names, "--subresource=status", "--type=merge", "-p", patch)

    view = action_view(asked.cluster.get(*names))
    credentials = await load_credentials(kubeconfig=asked.cluster.kubeconfig)
    async with Session(credentials) as session:
        actions = Actions(ApiClient(session), WorkflowStore(), print, print, NullObserver())
        record = {"uid": view.uid, "accepted": True, "reason": "Accepted", "message": "m"}
        actions._changed(key, None, view)
        actions.settle(Workflow.of({**workflow.raw, "status": {"actions": [record]}}))
        await actions.close(10)
        after = asked.cluster.get(*names)
        await actions._hand_over(key, view, workflow)
        stranger = action_view({**raw, "metadata": {**raw["metadata"], "uid": "another"}})
        with pytest.raises(Conflict):
            await actions._hand_over(key, stranger, workflow)
        with pytest.raises(Conflict):
            await actions._write(key, stranger, _Verdict.of(record))

    assert {each["type"]: each["status"] for each in after["status"]["conditions"]} == {
        "Seen": "True",
        "Accepted": "True",
        "Completed": "True",
        "Stalled": "False",
    }
    assert {each["uid"] for each in after["metadata"]["ownerReferences"]} == {other, workflow.uid}
    assert action_view(after).is_settled
    assert asked.cluster.get(*names)["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]
