"""What people may do with our kinds: each is somebody's to read, and what the operator writes is nobody's to change."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fairlead.api import crd
from fairlead.engine.model import ActionKind

TEMPLATES = Path(__file__).resolve().parents[3] / "charts" / "fairlead" / "templates"
KINDS = {document["spec"]["names"]["plural"]: document for document in crd.crds()}
READ = {"get", "list", "watch"}
#: What may be asked of a run by those who may not say how a task has ended: a verb for each action.
ASK = {kind.lower() for kind in ActionKind} - {"mark"}


def roles(name: str) -> dict[str, dict[str, Any]]:
    """The roles of a template, by the end of their names: Helm's own lines are left out."""
    text = (TEMPLATES / name).read_text()
    text = re.sub(r"^ *\{\{.*\}\}\n", "", text, flags=re.MULTILINE)
    documents = yaml.safe_load_all(re.sub(r"\{\{.*?\}\}", "fairlead", text))
    return {each["metadata"]["name"]: each for each in documents if each["kind"] == "ClusterRole"}


def granted(role: dict[str, Any]) -> dict[str, set[str]]:
    """Verbs by resource."""
    found: dict[str, set[str]] = {}
    for rule in role["rules"]:
        for name in rule["resources"]:
            found.setdefault(name, set()).update(rule["verbs"])
    return found


def operator_rules() -> list[dict[str, Any]]:
    """What the operator asks for, in namespaces and beside them."""
    text = re.sub(r"^ *\{\{.*\}\}\n", "", (TEMPLATES / "_rules.tpl").read_text(), flags=re.MULTILINE)
    rules: list[dict[str, Any]] = yaml.safe_load(re.sub(r"\{\{.*?\}\}", "fairlead", text))
    return rules


PEOPLE = {name.rpartition(":")[2]: granted(role) for name, role in roles("user-roles.yaml").items()}
OPERATOR = granted({"rules": operator_rules()})


def test_whoever_may_view_may_read_all_of_it() -> None:
    statuses = {f"{name}/status" for name, each in KINDS.items() if "subresources" in each["spec"]["versions"][0]}
    assert PEOPLE["view"] == dict.fromkeys([*KINDS, *statuses], READ)


def test_whoever_may_edit_writes_definitions_and_asks_for_actions() -> None:
    everything = {"create", "update", "patch", "delete", "deletecollection"}
    assert PEOPLE["edit"] == {
        "workflows": everything | ASK,
        "workflowtemplates": everything | {"use"},
        "workflowactions": {"create", "delete", "deletecollection"},
    }


def test_there_is_a_role_for_those_who_may_only_act() -> None:
    assert PEOPLE["act"] == {"workflowactions": {"create"}, "workflows": ASK}
    [role] = [role for name, role in roles("user-roles.yaml").items() if name.endswith(":act")]
    assert not role["metadata"]["labels"]


def test_there_is_a_role_for_those_who_run_templates_and_write_none() -> None:
    assert PEOPLE["run"] == {"workflows": READ | {"create"}, "workflowtemplates": READ | {"use"}}
    [role] = [role for name, role in roles("user-roles.yaml").items() if name.endswith(":run")]
    assert not role["metadata"]["labels"]


def test_only_an_administrator_says_how_a_task_has_ended() -> None:
    assert PEOPLE["admin"] == {"workflows": {"mark"}}
    [role] = [role for name, role in roles("user-roles.yaml").items() if name.endswith(":admin")]
    aggregated = [label for label in role["metadata"]["labels"] if "aggregate" in label]
    assert aggregated == ["rbac.authorization.k8s.io/aggregate-to-admin"]


@pytest.mark.parametrize("role", PEOPLE)
def test_nobody_else_writes_what_the_operator_writes(role: str) -> None:
    writes = {name for name, verbs in PEOPLE[role].items() if verbs - READ}
    assert not {name for name in writes if name.endswith("/status") or name == "taskstatusshards"}


@pytest.mark.parametrize("plural", KINDS)
def test_the_operator_reads_each_kind_and_writes_its_status(plural: str) -> None:
    assert OPERATOR[plural] >= READ - {"watch"}
    written = f"{plural}/status" if "subresources" in KINDS[plural]["spec"]["versions"][0] else plural
    assert "patch" in OPERATOR[written]


def test_it_watches_all_but_shards_which_only_it_writes() -> None:
    assert {plural for plural in KINDS if "watch" not in OPERATOR[plural]} == {"taskstatusshards"}
    assert OPERATOR["taskstatusshards"] == {"get", "list", "create", "patch"}


def test_the_operator_writes_no_templates() -> None:
    assert OPERATOR["workflowtemplates"] == READ


def test_the_operator_asks_nothing_of_runs_but_that_sub_workflows_stop_and_try_again() -> None:
    assert "create" in OPERATOR["workflowactions"]
    assert OPERATOR["workflows"] & {kind.value.lower() for kind in ActionKind} == {"stop", "retry"}
