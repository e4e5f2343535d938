"""A definition gives nobody a right that its author lacks, by the real API server's word.

The policies are the chart's, under other names and bound to one namespace, so that nothing else on the cluster notices.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from e2e.devcluster import binaries
from e2e.kubectl import Cluster, CommandFailed, wait_until

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "fairlead"
NAMES = ("fairlead-contract-author-rights", "fairlead-contract-pods")
OPERATOR = "system:serviceaccount:ns:fairlead"
OTHER = "system:serviceaccount:elsewhere:fairlead"

Object = dict[str, Any]

_NUMBERS = itertools.count()

BOX: Object = {"container": {"image": "busybox"}}
ACTS: Object = {"resource": {"manifest": {"apiVersion": "v1", "kind": "ConfigMap"}, "successWhen": "${true}"}}
WAITS: Object = {"wait": {"condition": {"apiVersion": "v1", "kind": "Secret", "name": "s", "when": "${true}"}}}
SECRET = {"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
CALLS: Object = {"http": {"url": "https://a.example"}}


def as_(account: str) -> Object:
    return {**BOX, "pod": {"serviceAccountName": account}}


def job(**pod: Any) -> Object:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox"}], **pod}}
    return {"job": {"spec": {"template": template}}}


def child(template: str) -> Object:
    return {"workflow": {"templateRef": {"name": template}}}


def workflow(*tasks: Object, kind: str = "Workflow", name: str = "", **spec: Any) -> Object:
    listed = [{"name": f"t{index}", **task} for index, task in enumerate(tasks)]
    return {
        "apiVersion": "fairlead.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name or f"w{next(_NUMBERS)}"},
        "spec": {**({"tasks": listed} if listed else {}), **spec},
    }


class Namespace:
    """The namespace that the policies are bound to."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster = cluster
        self.name = name

    def create(self, document: Object, user: str, *options: str) -> None:
        command = ("create", "-n", self.name, "--validate=strict", f"--as={user}", "-f", "-", *options)
        self.cluster.kubectl(*command, stdin=json.dumps(document))

    def judge(self, document: Object, user: str) -> str:
        """What the API server has against it; "" for nothing."""
        try:
            self.create(document, user, "--dry-run=server")
        except CommandFailed as refused:
            text = re.sub(r"\s+", " ", str(refused))
            assert "denied request" in text, text
            return text.partition("denied request: ")[2]
        return ""


def rule(group: str, resource: str, *verbs: str, names: tuple[str, ...] = ()) -> Object:
    found: Object = {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
    return found | ({"resourceNames": list(names)} if names else {})


#: All of them may write definitions. What else they may:
RIGHTS: dict[str, list[Object]] = {
    "nobody": [],
    "ann": [rule("", "pods", "create"), rule("batch", "jobs", "create")],  # pods, and no account but the default one
    "kim": [rule("", "pods", "create"), rule("batch", "jobs", "create"), rule("", "serviceaccounts", "impersonate")],
    "sue": [  # two accounts and two templates
        rule("", "serviceaccounts", "use", names=("loader",)),
        rule("", "serviceaccounts", "impersonate", names=("reader",)),
        rule("fairlead.dev", "workflowtemplates", "use", names=("daily", "weekly")),
    ],
    "eve": [rule("fairlead.dev", "workflowtemplates", "use")],
    OTHER: [],
}


def rendered(template: str, *settings: str) -> list[Object]:
    import subprocess

    helm = binaries.ensure(("helm",))["helm"]
    command = [str(helm), "template", "fairlead", str(CHART), "-n", "ns", "--show-only", f"templates/{template}"]
    done = subprocess.run([*command, *settings], capture_output=True, text=True, check=True, timeout=60)
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def space(api_server: Cluster, contract_namespace: str) -> Iterator[Namespace]:
    rbac = "rbac.authorization.k8s.io"
    rights: list[Object] = []
    everything = [rule("fairlead.dev", each, "create", "get", "patch") for each in ("workflows", "workflowtemplates")]
    for user, rules in RIGHTS.items():
        role = {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": f"rights-{user}"}}
        binding = {"apiVersion": f"{rbac}/v1", "kind": "RoleBinding", "metadata": {"name": f"rights-{user}"}}
        rights.append({**role, "rules": [*everything, *rules]})
        ref = {"apiGroup": rbac, "kind": "Role", "name": f"rights-{user}"}
        rights.append({**binding, "roleRef": ref, "subjects": [{"apiGroup": rbac, "kind": "User", "name": user}]})
    api_server.apply(*rights, namespace=contract_namespace)
    restricting = ("--set", "podPolicy.hostAccess=false", "--set", "podPolicy.images={good.example/}")
    documents = [
        (NAMES[0], rendered("policy-rights.yaml", "--set", f"admissionPolicy.otherOperators={{{OTHER}}}")),
        (NAMES[1], rendered("policy-pods.yaml", *restricting)),
    ]
    chosen = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": contract_namespace}}}
    found = Namespace(api_server, contract_namespace)
    try:
        for name, (policy, binding) in documents:
            policy["metadata"], binding["metadata"] = {"name": name}, {"name": name}
            # Whoever the tests call the operator; RBAC lets it create pods, and nobody else is meant by the policy.
            binding["spec"] |= {"policyName": name, "matchResources": chosen}
            for each in (policy, binding):
                api_server.kubectl("apply", "--validate=strict", "-f", "-", stdin=json.dumps(each))
        wait_until("the rights policy to be in force", lambda: found.judge(workflow(BOX), "nobody"), 30)
        yield found
    finally:
        for name in NAMES:
            for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
                api_server.kubectl("delete", kind, name, "--ignore-not-found")


def test_the_api_server_finds_no_fault_with_the_types_of_the_expressions(space: Namespace) -> None:
    def checked(name: str) -> Object:
        status = space.cluster.get("validatingadmissionpolicy", name).get("status", {})
        return dict(status) if status.get("observedGeneration") else {}

    for name in NAMES:
        status = wait_until(f"the types of {name} to be checked", lambda name=name: checked(name), 30)
        assert not status.get("typeChecking", {}).get("expressionWarnings"), status


PODS_NEEDED = "this definition runs pods: you need the right to create pods in the namespace"
ALLOWED = ""


def account(name: str) -> str:
    return f"this definition acts as the service account {name}: you need the verb use (or impersonate) on it"


def template(name: str) -> str:
    return f"this definition runs the template {name}: you need the verb use on it"


@pytest.mark.parametrize("kind", ["Workflow", "WorkflowTemplate"])
@pytest.mark.parametrize(
    ("user", "tasks", "expected"),
    [
        ("nobody", [CALLS], ALLOWED),
        ("nobody", [BOX], PODS_NEEDED),
        ("nobody", [{"script": {"image": "i", "source": "true"}}], PODS_NEEDED),
        ("nobody", [job()], "this definition runs Jobs: you need the right to create jobs of batch"),
        ("ann", [BOX, job()], ALLOWED),
        ("ann", [as_("default")], ALLOWED),
        ("ann", [as_("admin")], account("admin")),
        ("ann", [{**BOX, "pod": {"serviceAccount": "admin"}}], account("admin")),
        ("ann", [job(serviceAccountName="admin")], account("admin")),
        ("ann", [job(serviceAccount="admin")], account("admin")),
        ("ann", [BOX, as_("${params.who}")], account("${params.who}")),
        ("kim", [as_("${params.who}"), *map(as_, "abcdef")], ALLOWED),
        ("nobody", [ACTS], account("default")),
        ("nobody", [WAITS], account("default")),
        ("nobody", [{"http": {**CALLS["http"], "headers": [SECRET]}}], account("default")),
        ("nobody", [{"http": {**CALLS["http"], "headers": [{"name": "A", "value": "b"}]}}], ALLOWED),
        ("ann", [ACTS, WAITS], ALLOWED),
        ("nobody", [child("daily")], template("daily")),
        ("sue", [child("daily"), child("weekly"), child("daily")], ALLOWED),
        ("sue", [child("daily"), child("weekly"), child("yearly")], template("yearly")),
        ("sue", [child("daily"), child("yearly")], template("yearly")),
        ("sue", [*map(child, ("daily", "weekly", "a", "b"))], template("a")),
        ("eve", [*map(child, "abcdef")], ALLOWED),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_what_a_definition_needs(space: Namespace, kind: str, user: str, tasks: list[Object], expected: str) -> None:
    found = space.judge(workflow(*tasks, kind=kind), user)
    assert (bool(found), found[: len(expected)]) == (bool(expected), expected)


def defaults(name: str) -> Object:
    return {"pod": {"serviceAccountName": name}}


@pytest.mark.parametrize(
    ("user", "document", "expected"),
    [
        ("sue", workflow(ACTS, taskDefaults=defaults("loader")), ALLOWED),
        ("sue", workflow(ACTS, taskDefaults=defaults("reader")), ALLOWED),
        ("sue", workflow(ACTS, taskDefaults=defaults("admin")), account("admin")),
        ("ann", workflow(BOX, taskDefaults=defaults("admin")), account("admin")),
        ("sue", workflow(ACTS, taskDefaults={"pod": {"serviceAccount": "loader"}}), account("default")),
        ("ann", workflow(BOX, taskDefaults={"pod": {"serviceAccount": "admin"}}), account("admin")),
        ("sue", workflow(ACTS, taskDefaults=defaults("")), account("")),
        ("sue", workflow(templateRef={"name": "daily"}), ALLOWED),
        ("sue", workflow(templateRef={"name": "yearly"}), template("yearly")),
        ("nobody", workflow(CALLS, **{"finally": [{"name": "f", **BOX}]}), PODS_NEEDED),
    ],
)
def test_what_stands_beside_the_tasks_counts_too(space: Namespace, user: str, document: Object, expected: str) -> None:
    found = space.judge(document, user)
    assert (bool(found), found[: len(expected)]) == (bool(expected), expected)


def test_what_is_changed_is_judged_by_who_changes_it(space: Namespace) -> None:
    space.create(workflow(BOX, name="mine"), "ann")

    def patch(user: str, spec: Object) -> str:
        command = ("patch", "workflow", "mine", "-n", space.name, "--type=merge", f"--as={user}", "--dry-run=server")
        try:
            space.cluster.kubectl(*command, "-p", json.dumps({"spec": spec}))
        except CommandFailed as refused:
            return str(refused)
        return ""

    assert patch("nobody", {"suspend": True}) == ""
    assert account("admin") in patch("ann", {"tasks": [{"name": "a", **as_("admin")}]})
    assert account("admin") in patch("ann", {"taskDefaults": defaults("admin")})
    assert PODS_NEEDED in patch("nobody", {"tasks": [{"name": "a", **BOX}]})
    assert patch("ann", {"tasks": [{"name": "a", **BOX}]}) == ""


@pytest.mark.parametrize("kind", ["Workflow", "WorkflowTemplate"])
def test_a_value_that_names_an_account_or_a_command_is_judged_as_what_it_stands_for(
    space: Namespace, kind: str
) -> None:
    chosen = {"taskDefaults": defaults("${params.sa}"), "params": [{"name": "sa", "default": "loader"}]}
    name = f"chosen-{kind.lower()}"
    space.create(workflow(BOX, kind=kind, name=name, **chosen), "kim")
    command = ("patch", kind, name, "-n", space.name, "--type=merge", "--dry-run=server")
    change = ("-p", json.dumps({"spec": {"params": [{"name": "sa", "default": "admin"}]}}))
    space.cluster.kubectl(*command, *change, "--as=kim")
    with pytest.raises(CommandFailed, match="need"):
        space.cluster.kubectl(*command, *change, "--as=ann")


def test_the_operator_of_another_release_is_not_asked_about_its_sub_workflows(space: Namespace) -> None:
    assert space.judge(workflow(child("daily")), "nobody").startswith(template("daily"))
    assert space.judge(workflow(child("daily")), OTHER) == ""


def test_the_largest_definition_is_judged_within_the_api_servers_budget(space: Namespace) -> None:
    many = [as_("default") if index % 2 else BOX for index in range(9_000)] + [child("daily")] * 900
    began = time.monotonic()
    assert space.judge(workflow(*many), "kim").startswith(template("daily"))
    assert time.monotonic() - began < 30
    many[5_000] = as_("admin")
    assert space.judge(workflow(*many), "ann").startswith(account("admin"))


# -- what pods are made of


def pod(**spec: Any) -> Object:
    main = {"name": "main", "image": "good.example/a:1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"p{next(_NUMBERS)}"},
        "spec": {"containers": [main], **spec},
    }


def job_of(document: Object) -> Object:
    template = {"spec": {"restartPolicy": "Never", **document["spec"]}}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": document["metadata"], "spec": {"template": template}}


IMAGES = "images of runs must begin with one of: good.example/"
NODE = "pods of runs must not use the node's network, processes, memory or files"
PRIVILEGED = "containers of runs must not be privileged, nor listen on the node"
BEYOND = "containers of runs must not have capabilities, or a /proc, beyond the baseline of Pod Security"
UNCONFINED = "pods of runs must not be unconfined by seccomp or AppArmor, nor be processes of the node"
BAD = {"name": "bad", "image": "good.example.evil/a"}


def secured(**context: Any) -> Object:
    return {"containers": [{"name": "main", "image": "good.example/a", "securityContext": context}]}


@pytest.fixture(scope="module")
def operating(space: Namespace) -> Namespace:
    """The operator's account, by name, may create pods and Jobs."""
    rbac = "rbac.authorization.k8s.io"
    rules = [rule("", "pods", "create"), rule("batch", "jobs", "create")]
    role = {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": "operating"}, "rules": rules}
    subject = {"kind": "ServiceAccount", "name": "fairlead", "namespace": "ns"}
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "operating"},
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "operating"},
        "subjects": [subject],
    }
    space.cluster.apply(role, binding, namespace=space.name)
    wait_until("the pod policy to be in force", lambda: space.judge(pod(containers=[BAD]), OPERATOR), 30)
    return space


@pytest.mark.parametrize("kind", ["pod", "job"])
@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, ALLOWED),
        ({"containers": [BAD]}, IMAGES),
        ({"initContainers": [BAD]}, IMAGES),
        ({"hostNetwork": True}, NODE),
        ({"hostPID": True}, NODE),
        ({"hostIPC": True}, NODE),
        ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, NODE),
        ({"volumes": [{"name": "v", "emptyDir": {}}]}, ALLOWED),
        ({"containers": [{**BAD, "image": "good.example/a", "securityContext": {"privileged": True}}]}, PRIVILEGED),
        (
            {"containers": [{**BAD, "image": "good.example/a", "ports": [{"containerPort": 1, "hostPort": 1}]}]},
            PRIVILEGED,
        ),
        (secured(capabilities={"add": ["SYS_ADMIN"]}), BEYOND),
        (secured(capabilities={"add": ["CHOWN"], "drop": ["ALL"]}), ALLOWED),
        (secured(seccompProfile={"type": "Unconfined"}), UNCONFINED),
        (secured(seccompProfile={"type": "RuntimeDefault"}), ALLOWED),
        (secured(appArmorProfile={"type": "Unconfined"}), UNCONFINED),
        ({"securityContext": {"seccompProfile": {"type": "Unconfined"}}}, UNCONFINED),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_what_the_operator_may_create(operating: Namespace, kind: str, spec: Object, expected: str) -> None:
    document = pod(**spec)
    found = operating.judge(document if kind == "pod" else job_of(document), OPERATOR)
    assert (bool(found), found[: len(expected)]) == (bool(expected), expected)


def test_pods_of_others_are_not_its_business(operating: Namespace) -> None:
    assert operating.judge(pod(hostNetwork=True, containers=[BAD]), "ann") == ""
