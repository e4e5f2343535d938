"""Our own kinds' schemas."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.testing.apiserver.client import MERGE, Client, configmap, workflow

from fairlead.kube.resources import CONFIGMAPS, WORKFLOWS
from fairlead.testing.apiserver.schemas import pruned, schema_of, violations

SCHEMA = {
    "properties": {
        "spec": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string", "maxLength": 3, "pattern": "^[a-z]+$"},
                "count": {"type": "integer", "minimum": 1, "maximum": 5},
                "kind": {"type": "string", "enum": ["A", "B"]},
                "port": {"x-kubernetes-int-or-string": True},
                "list": {
                    "type": "array",
                    "maxItems": 2,
                    "items": {"type": "object", "properties": {"a": {"type": "string"}}},
                },
                "map": {"type": "object", "additionalProperties": {"type": "string"}},
                "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            },
        }
    }
}


def test_unknown_fields_are_pruned_at_every_depth_unless_they_are_preserved() -> None:
    spec = {"name": "a", "no": 1, "list": [{"a": "x", "no": 1}], "map": {"k": "v"}, "any": {"k": {"l": 1}}}
    after = pruned(SCHEMA, {"kind": "K", "spec": spec, "no": 1}, {})
    assert after == {
        "kind": "K",
        "spec": {"name": "a", "list": [{"a": "x"}], "map": {"k": "v"}, "any": {"k": {"l": 1}}},
    }


def test_what_needs_no_pruning_is_the_same_object() -> None:
    obj = {"kind": "K", "spec": {"name": "a", "list": [{"a": "x"}]}}
    assert pruned(SCHEMA, obj, {}) is obj


@pytest.mark.parametrize(
    ("spec", "field", "reason"),
    [
        ({}, "spec.name", "FieldValueRequired"),
        ({"name": 1}, "spec.name", "FieldValueTypeInvalid"),
        ({"name": None}, "spec.name", "FieldValueTypeInvalid"),
        ({"name": "long"}, "spec.name", "FieldValueTooLong"),
        ({"name": "A"}, "spec.name", "FieldValueInvalid"),
        ({"name": "a", "count": 6}, "spec.count", "FieldValueInvalid"),
        ({"name": "a", "count": True}, "spec.count", "FieldValueTypeInvalid"),
        ({"name": "a", "kind": "C"}, "spec.kind", "FieldValueNotSupported"),
        ({"name": "a", "port": []}, "spec.port", "FieldValueTypeInvalid"),
        ({"name": "a", "list": [{"a": 1}]}, "spec.list[0].a", "FieldValueTypeInvalid"),
        ({"name": "a", "list": [{}, {}, {}]}, "spec.list", "FieldValueTooMany"),
        ({"name": "a", "map": {"k": 1}}, "spec.map.k", "FieldValueTypeInvalid"),
    ],
)
def test_what_is_wrong(spec: dict[str, Any], field: str, reason: str) -> None:
    assert [(each.field, each.reason) for each in violations(SCHEMA, {"spec": spec}, {})] == [(field, reason)]


def test_what_was_wrong_before_is_not_held_against_a_change_of_something_else() -> None:
    old = {"spec": {"name": "A", "count": 1}}
    assert not list(violations(SCHEMA, {"spec": {"name": "A", "count": 2}}, old))


def test_our_kinds_are_pruned_and_checked_and_others_are_not(api: Client) -> None:
    assert schema_of(CONFIGMAPS) is None
    made = api.create(WORKFLOWS, {**workflow(), "unknown": 1})
    assert "unknown" not in made
    assert "nonsense" not in api.status(WORKFLOWS, "w", phase="Running", nonsense=1)["status"]
    answer = api.ask("PATCH", api.path(WORKFLOWS, "w", "status"), {"status": {"phase": 7}}, MERGE)
    assert [each["field"] for each in answer.body["details"]["causes"]] == ["status.phase"]
    assert api.create(CONFIGMAPS, {**configmap(), "unknown": 1})["unknown"] == 1


def test_an_unknown_field_alone_is_no_change(api: Client) -> None:
    api.create(WORKFLOWS, workflow())
    made = api.patch(WORKFLOWS, "w", {"metadata": {"labels": {"a": "b"}}})
    assert api.patch(WORKFLOWS, "w", {"spec": {"unknown": 1}}) == made


def test_the_first_update_stores_what_was_there_by_default_only(api: Client) -> None:
    made = api.create(WORKFLOWS, workflow())
    stored = api.patch(WORKFLOWS, "w", {"spec": {}})
    assert stored["status"] == made["status"] == {"observedGeneration": 0}
    assert stored["metadata"]["resourceVersion"] != made["metadata"]["resourceVersion"]
    assert api.patch(WORKFLOWS, "w", {"spec": {}}) == stored
