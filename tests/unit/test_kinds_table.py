"""One table over crds/: what each of our kinds has to have. A kind that is new there fails until it has all of it.

Nothing is listed here that could be read where it is: columns and conditions in the schemas, health checks in
gitops/, rights in the chart, metrics in `telemetry/specs.py`, commands in the command line itself, and so on.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from tests.unit.chart.test_roles import granted, roles
from tests.unit.examples import headers
from tests.unit.gitops.lua import load
from tools import recordings
from tools.recordings.stage import RUN, Stage, act

from fairlead.api.objects import ApiObject
from fairlead.cli.main import COMMANDS, app
from fairlead.controllers.options import OperatorOptions
from fairlead.kube.resources import TASKSTATUSSHARDS, WORKFLOWACTIONS, Resource
from fairlead.telemetry.metrics import Metrics
from fairlead.telemetry.specs import SPECS, MetricSpec
from fairlead.testing.cluster import Cluster
from fairlead.testing.loop import run

Object = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
HEALTH = ROOT / "gitops" / "argocd" / "resource_customizations" / "fairlead.dev"

CRDS: dict[str, Object] = {
    found["spec"]["names"]["kind"]: found
    for found in (yaml.safe_load(path.read_text()) for path in sorted((ROOT / "crds").glob("*.yaml")))
}

each = pytest.mark.parametrize("kind", CRDS)

READ = {"get", "list", "watch"}

#: Kinds without conditions, and why. What is said of them is checked by `test_only_a_part_of_a_run_has_no_conditions`.
WITHOUT_CONDITIONS = {
    "TaskStatusShard": "it is a part of a Workflow's status, and those of the Workflow speak for it",
}


def version(kind: str) -> Object:
    [only] = CRDS[kind]["spec"]["versions"]
    return dict(only)


def schema(kind: str) -> Object:
    return dict(version(kind)["schema"]["openAPIV3Schema"]["properties"])


def fields(kind: str) -> set[str]:
    """What somebody can say in an object of a kind: its spec, or all of it where there is none."""
    if is_written_by_people(kind):
        return set(schema(kind)["spec"]["properties"])
    return set(schema(kind)) - {"apiVersion", "kind", "metadata", "status"}


def is_written_by_people(kind: str) -> bool:
    """A kind without a spec is nobody's wish: the operator writes it for itself."""
    return "spec" in schema(kind)


def plural(kind: str) -> str:
    return str(CRDS[kind]["spec"]["names"]["plural"])


def test_there_are_kinds() -> None:
    assert len(CRDS) >= 4


# -- columns


def resolve(kind: str, path: str) -> Object | None:
    """The schema of what a JSONPath names, as printer columns write them."""
    node: Object | None = {"properties": {**schema(kind), "metadata": {"properties": {"creationTimestamp": {}}}}}
    for part in re.findall(r"\.(\w+)|(\[\?\([^)]*\)\])", path):
        name, _filter = part
        if node is not None:
            node = node.get("properties", {}).get(name) if name else node.get("items")
    return node


@each
def test_it_has_columns_that_show_fields_which_there_are(kind: str) -> None:
    columns = version(kind)["additionalPrinterColumns"]
    *own, age = columns
    assert own, "only its age would be seen"
    assert (age["name"], age["jsonPath"], age["type"]) == ("Age", ".metadata.creationTimestamp", "date")
    assert [column["name"] for column in columns if resolve(kind, column["jsonPath"]) is None] == []


def test_a_column_of_a_field_that_is_not_there_is_noticed() -> None:
    assert resolve("Workflow", ".status.fase") is None
    assert resolve("Workflow", '.status.conditions[?(@.type=="Finished")].stattus') is None
    assert resolve("Workflow", '.status.conditions[?(@.type=="Finished")].status') is not None


# -- conditions


def conditions(kind: str) -> Object | None:
    found: Object | None = schema(kind).get("status", {}).get("properties", {}).get("conditions")
    return found


@pytest.mark.parametrize("kind", [kind for kind in CRDS if kind not in WITHOUT_CONDITIONS])
def test_it_has_conditions_as_kubernetes_has_them(kind: str) -> None:
    found = conditions(kind)
    assert found is not None, "it has none, and nothing says why"
    assert "status" in version(kind)["subresources"]
    assert (found["x-kubernetes-list-type"], found["x-kubernetes-list-map-keys"]) == ("map", ["type"])
    assert {"type", "status", "lastTransitionTime", "reason", "message"} <= set(found["items"]["required"])
    assert "observedGeneration" in found["items"]["properties"]
    assert schema(kind)["status"]["default"] == {"observedGeneration": 0}, "kstatus would take a new one for done"


@pytest.mark.parametrize("kind", WITHOUT_CONDITIONS)
def test_only_a_part_of_a_run_has_no_conditions(kind: str) -> None:
    assert kind in CRDS, "the exemption is of a kind that is not there any more"
    assert "status" not in schema(kind), "it has a status: it should have conditions, too"
    assert "subresources" not in version(kind)
    assert not is_written_by_people(kind)
    # It belongs to one run, and what it tells is what a Workflow's status tells.
    required = version(kind)["schema"]["openAPIV3Schema"]["required"]
    assert {"workflowUID", "tasks"} <= set(required)
    assert schema(kind)["tasks"]["items"] == schema("Workflow")["status"]["properties"]["tasks"]["items"]
    assert conditions("Workflow") is not None


# -- health in Argo CD


@each
def test_it_has_a_health_check_with_objects_that_the_operator_has_left(kind: str) -> None:
    """That the check says of them what it should is shown by `unit/gitops/test_argocd.py`, for all that is recorded."""
    assert (HEALTH / kind / "health.lua").is_file()
    assert recordings.RECORDED[kind], "nothing of it is recorded, so nothing is tried"
    cases = load(HEALTH / kind / "health_test.yaml")["tests"]
    assert cases
    for case in cases:
        assert load(HEALTH / kind / case["inputPath"])["kind"] == kind


# -- rights of people


def rights(role: str) -> dict[str, set[str]]:
    """What the cluster's own role of that name comes to by the chart's: verbs by resource."""
    label = f"rbac.authorization.k8s.io/aggregate-to-{role}"
    rules = [
        rule
        for each in roles("user-roles.yaml").values()
        if (each["metadata"]["labels"] or {}).get(label) == "true"
        for rule in each["rules"]
    ]
    return granted({"rules": rules})


@each
@pytest.mark.parametrize("role", ["view", "edit", "admin"])
def test_everybody_may_read_it(kind: str, role: str) -> None:
    assert rights(role)[plural(kind)] >= READ
    if "subresources" in version(kind):
        assert rights(role)[f"{plural(kind)}/status"] >= READ


@each
def test_only_who_may_edit_writes_it_and_nobody_what_the_operator_writes(kind: str) -> None:
    assert rights("view")[plural(kind)] == READ
    for role in ("edit", "admin"):
        writes = rights(role)[plural(kind)] - READ
        assert ({"create", "delete"} <= writes) if is_written_by_people(kind) else not writes
        assert rights(role).get(f"{plural(kind)}/status", READ) == READ


# -- metrics


@cache
def played() -> Metrics:
    """The metrics of an operator that has met an object of each kind: a large run of a template, asked and answered."""

    async def main() -> Metrics:
        stage = Stage(Cluster(act, seed=1, options=OperatorOptions(template_metrics=1)))
        many = {"forEach": {"in": list(range(250))}, "set": {"values": [{"name": "x", "value": 1}]}}
        stage.template(tasks=[{"name": "many", **many}, {"name": "sign-off", "approval": {"message": "?"}}])
        stage.workflow(templateRef={"name": "sales"})
        stage.start()
        await stage.until(
            lambda: "shards" in stage.read().get("status", {}) and len(stage.cluster.list(TASKSTATUSSHARDS)) > 0
        )
        stage.ask("Approve", tasks=["sign-off"])
        await stage.finished()
        assert stage.says("Accepted", "True", WORKFLOWACTIONS, f"{RUN}-approve")
        operator = stage.cluster.hosts[0].operator
        assert operator is not None
        await stage.cluster.close()
        return operator.metrics

    return run(main(), stall_at=100_000)


def moved(spec: MetricSpec, kind: str) -> bool:
    """Whether a metric has counted something of a kind; where it is about several, by a label that says which."""
    for family in played().registry.collect():
        for sample in family.samples:
            if sample.value > 0 and sample.name in (spec.name, f"{spec.name}_count"):
                labels = [value.lower() for value in sample.labels.values()]
                if len(spec.about) == 1 or any(label and kind.lower().endswith(label) for label in labels):
                    return True
    return False


@each
def test_it_has_metrics_which_move(kind: str) -> None:
    about = [spec for spec in SPECS if kind in spec.about]
    assert about, "no metric is about it"
    assert any(moved(spec, kind) for spec in about), [spec.name for spec in about]


def test_metrics_are_about_kinds_that_there_are() -> None:
    assert {kind for spec in SPECS for kind in spec.about} <= CRDS.keys()


# -- the command line

#: Whose imports are followed: a command's own code, and what reads files and shards for it.
FOLLOWED = ("fairlead.cli.", "fairlead.api.lint", "fairlead.kube.shards")


def imports(module: str) -> Iterator[tuple[str, str]]:
    """What a module imports, also within functions: pairs of module and name."""
    spec = importlib.util.find_spec(module)
    assert spec is not None, module
    assert spec.origin is not None, module
    for node in ast.walk(ast.parse(Path(spec.origin).read_text())):
        if isinstance(node, ast.ImportFrom):
            source = importlib.util.resolve_name("." * node.level + (node.module or ""), spec.parent)
            for alias in node.names if source.startswith("fairlead.") else ():
                yield source, alias.name


def kinds_named_by(module: str) -> set[str]:
    """The kinds of ours that a module names, or one that it needs: as a resource to ask for, or a model to check by."""
    found, todo, done = set(), [module], set()
    while todo:
        here = todo.pop()
        if here in done:
            continue
        done.add(here)
        for source, name in imports(here):
            value = getattr(importlib.import_module(source), name)
            if isinstance(value, Resource):
                found.add(value.kind)
            elif isinstance(value, type) and issubclass(value, ApiObject) and hasattr(value, "KIND"):
                found.add(value.KIND)
            if source.startswith(FOLLOWED):
                todo.append(source)
    return found & CRDS.keys()


@cache
def commands() -> dict[str, set[str]]:
    """The commands that there are, with the kinds that each is about."""
    group = typer.main.get_command(app)
    there = set()
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        there |= {f"{name} {verb}" for verb in getattr(command, "commands", ())} or {name}
    assert there == COMMANDS.keys(), "what is read here is what people get"
    return {name: kinds_named_by(COMMANDS[name][0].__module__) for name in there}


@each
def test_it_has_a_command(kind: str) -> None:
    """One that names every kind, as `doctor` does, is about the installation and about none of them."""
    about = [name for name, kinds in commands().items() if kind in kinds and kinds != CRDS.keys()]
    assert about, f"nobody can do anything with a {kind} on the command line"


def test_commands_are_told_apart() -> None:
    assert "WorkflowAction" in commands()["retry"]
    assert "TaskStatusShard" in commands()["tree"]
    assert "WorkflowTemplate" not in commands()["retry"]
    assert commands()["doctor"] == CRDS.keys()


# -- pages


def code_of(page: Path) -> str:
    """What a page has as code, in its lines and between them."""
    text = page.read_text()
    return "\n".join(re.findall(r"^```.*?^```|`[^`\n]+`", text, re.MULTILINE | re.DOTALL))


@each
def test_a_page_documents_each_of_its_fields(kind: str) -> None:
    missing = {}
    for page in sorted((ROOT / "docs").glob("*.md")):
        if re.search(rf"\b{kind}\b", page.read_text()):
            words = set(re.findall(r"\w+", code_of(page)))
            missing[page.name] = sorted(fields(kind) - words)
    assert any(not names for names in missing.values()), missing


# -- examples


def objects(value: Any) -> Iterator[Object]:
    """All objects of ours in a document, also those that a task makes."""
    if isinstance(value, dict):
        if str(value.get("apiVersion", "")).startswith("fairlead.dev/"):
            yield value
        for each in value.values():
            yield from objects(each)
    elif isinstance(value, list):
        for each in value:
            yield from objects(each)


@each
def test_an_example_of_it_is_executed(kind: str) -> None:
    """`e2e/tests/test_examples.py` runs those of `headers.small()`, and looks for what they say is made for them."""
    written = {example.name for example in headers.small() for obj in objects(example.documents) if obj["kind"] == kind}
    made = {example.name for example in headers.small() if kind in example.makes}
    assert written if is_written_by_people(kind) else made
    assert is_written_by_people(kind) or not written, f"people must not write it: {written}"


def test_what_an_example_makes_is_a_kind_that_people_do_not_write() -> None:
    made = {kind for example in headers.small() for kind in example.makes}
    assert made <= {kind for kind in CRDS if not is_written_by_people(kind)}
