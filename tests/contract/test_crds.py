"""The CRDs as they are committed: what Kubernetes, kubectl and GitOps tools expect of them. Needs no cluster."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fairlead.api import crd
from fairlead.api.structural import KubernetesSchema, to_structural

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "crds").glob("*.yaml"))
GENERATED = {crd.file_name(each): each for each in crd.crds()}

#: `kubectl apply` keeps a copy in an annotation, as JSON, and annotations are limited to this.
ANNOTATIONS = 262_144

Schema = dict[str, Any]
Place = tuple[str, Schema]


def root(document: dict[str, Any]) -> Schema:
    [version] = document["spec"]["versions"]
    schema: Schema = version["schema"]["openAPIV3Schema"]
    return schema


def walk(schema: Schema, path: str = "", *, ours: bool = False) -> Iterator[Place]:
    """Every place of a schema; with `ours`, not what comes from Kubernetes."""
    if ours and isinstance(schema, KubernetesSchema):
        return
    yield path, schema
    for name, field in schema.get("properties", {}).items():
        yield from walk(field, f"{path}.{name}", ours=ours)
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from walk(schema[key], f"{path}.{key}", ours=ours)


def places(*, ours: bool = False) -> list[Place]:
    """Every place of every kind, its path beginning with the kind's plural."""
    return [
        (plural(each) + path, schema) for each in GENERATED.values() for path, schema in walk(root(each), ours=ours)
    ]


def plural(document: dict[str, Any]) -> str:
    name: str = document["spec"]["names"]["plural"]
    return name


ALL = places()
STANDARD = {
    f"{plural(each)}{name}" for each in GENERATED.values() for name in ("", ".apiVersion", ".kind", ".metadata")
}
OURS = [(path, schema) for path, schema in places(ours=True) if path not in STANDARD]


def failing(places: list[Place], wrong: Any) -> list[str]:
    return [path for path, schema in places if wrong(schema)]


def test_there_is_one_file_for_each_kind() -> None:
    assert [path.name for path in FILES] == sorted(GENERATED)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_files_are_what_the_models_say(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == crd.to_yaml(GENERATED[path.name])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_client_side_apply_can_store_them(path: Path) -> None:
    assert len(json.dumps(yaml.safe_load(path.read_text(encoding="utf-8")))) < ANNOTATIONS


def test_a_changed_file_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def main(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["crd", *arguments])
        return crd.main()

    assert main("--write", str(tmp_path)) == 0
    assert main("--check", str(tmp_path)) == 0
    changed = tmp_path / "workflows.yaml"
    changed.write_text(changed.read_text(encoding="utf-8").replace("flw", "wfl"), encoding="utf-8")
    assert main("--check", str(tmp_path)) == 1


def test_every_place_has_a_type() -> None:
    free = ("x-kubernetes-int-or-string", "x-kubernetes-preserve-unknown-fields")
    assert not failing(ALL, lambda schema: "type" not in schema and not any(key in schema for key in free))


def test_only_structural_keywords_are_used() -> None:
    known = {
        "additionalProperties",
        "default",
        "description",
        "enum",
        "format",
        "items",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minItems",
        "minLength",
        "minimum",
        "pattern",
        "properties",
        "required",
        "type",
        "x-kubernetes-int-or-string",
        "x-kubernetes-list-map-keys",
        "x-kubernetes-list-type",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    }
    assert not failing(ALL, lambda schema: set(schema) - known)


def test_there_are_no_defaults_but_for_the_status() -> None:
    # Below a list they look like drift to GitOps tools; elsewhere the compile step applies them as well.
    statuses = [path for path, schema in ALL if "default" in schema]
    assert statuses == ["workflows.status", "workflowtemplates.status", "workflowactions.status"]


def test_what_no_operator_has_seen_is_not_observed() -> None:
    # Generations begin with 1: kstatus waits. An object without a status would count as done.
    assert {str(schema["default"]) for _, schema in ALL if "default" in schema} == {"{'observedGeneration': 0}"}


def test_required_fields_exist() -> None:
    assert not failing(ALL, lambda schema: set(schema.get("required", ())) - set(schema.get("properties", ())))


@pytest.mark.parametrize(
    ("type_", "bounds"),
    [
        ("array", {"maxItems"}),
        ("integer", {"minimum", "maximum"}),
        ("number", {"minimum", "maximum"}),
    ],
)
def test_our_own_fields_are_bounded(type_: str, bounds: set[str]) -> None:
    assert not failing(OURS, lambda schema: schema.get("type") == type_ and not bounds <= set(schema))


def test_our_own_strings_are_bounded() -> None:
    bounds = {"maxLength", "enum", "format"}
    assert not failing(OURS, lambda schema: schema.get("type") == "string" and not bounds & set(schema))


def test_our_own_free_objects_are_bounded() -> None:
    open_ = "x-kubernetes-preserve-unknown-fields"
    assert not failing(
        OURS, lambda schema: schema.get("type") == "object" and open_ in schema and "maxProperties" not in schema
    )


def test_our_own_fields_are_described() -> None:
    fields = [(path, schema) for path, schema in OURS if not path.endswith(".items")]
    assert not failing(fields, lambda schema: not schema.get("description"))


def test_what_comes_from_kubernetes_is_described_by_its_own_documentation() -> None:
    named = [schema for _, schema in ALL if isinstance(schema, KubernetesSchema)]
    assert named
    inner = [
        place for schema in named for name in schema.get("properties", ()) for place in walk(schema["properties"][name])
    ]
    assert not failing(inner, lambda schema: "description" in schema)


def test_lists_are_atomic_but_for_conditions() -> None:
    # Field tracking of each item would cost the API server a multiple of everything else.
    lists = [(path, schema) for path, schema in OURS if schema.get("type") == "array"]
    other = failing(lists, lambda schema: schema["x-kubernetes-list-type"] != "atomic")
    assert other == [path for path, _ in lists if path.endswith(".status.conditions")]


def test_rules_stand_at_the_root_alone() -> None:
    # A rule below `tasks` would be evaluated for each task, on status writes, too.
    ruled = failing(ALL, lambda schema: "x-kubernetes-validations" in schema)
    assert set(ruled) <= {plural(each) for each in GENERATED.values()}


def test_embedded_pod_templates_keep_their_labels() -> None:
    metadata = [schema for path, schema in ALL if path.endswith("template.metadata")]
    assert metadata
    assert all("labels" in schema["properties"] for schema in metadata)


#: What `kubectl get` shows besides the name.
COLUMNS = {
    "workflows": ["Phase", "Progress", "Started", "Message", "Age"],
    "workflowtemplates": ["Valid", "Message", "Age"],
    "workflowactions": ["Workflow", "Action", "By", "Accepted", "Message", "Age"],
    "taskstatusshards": ["Workflow", "Index", "Revision", "Age"],
}
SHORT_NAMES = {"workflows": ["flw"], "workflowtemplates": ["flwt"], "workflowactions": ["flact"]}


@pytest.mark.parametrize("document", GENERATED.values(), ids=plural)
def test_what_people_see(document: dict[str, Any]) -> None:
    names = document["spec"]["names"]
    [version] = document["spec"]["versions"]
    columns = {column["name"]: column["jsonPath"] for column in version["additionalPrinterColumns"]}
    assert list(columns) == COLUMNS[plural(document)]
    # Not the start of the run: a Workflow that has not started has an age, too.
    assert columns["Age"] == ".metadata.creationTimestamp"
    assert names.get("shortNames", []) == SHORT_NAMES.get(plural(document), [])


@pytest.mark.parametrize("document", GENERATED.values(), ids=plural)
def test_only_the_operator_writes_a_status_and_what_is_internal_has_none(document: dict[str, Any]) -> None:
    [version] = document["spec"]["versions"]
    internal = plural(document) == "taskstatusshards"
    assert version.get("subresources") == (None if internal else {"status": {}})
    assert document["spec"]["names"].get("categories") == (None if internal else ["fairlead"])


@pytest.mark.parametrize(
    "schema",
    [{"anyOf": [{"type": "string"}, {"type": "integer"}]}, {"type": "integer", "exclusiveMinimum": 1}],
)
def test_what_has_no_structural_form_is_refused(schema: Schema) -> None:
    with pytest.raises(ValueError, match="no structural form"):
        to_structural(schema, {})
