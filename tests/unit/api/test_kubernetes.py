"""The embedded types of Kubernetes: what the API server would refuse is found without one."""

from __future__ import annotations

from typing import Any

import pytest

from fairlead.api.kubernetes import check, structural


def found(kind: str, value: Any, **options: Any) -> dict[str, str]:
    return {problem.path: problem.message for problem in check(kind, value, **options)}


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({"imag": "x"}, ".imag", "unknown field; did you mean 'image'?"),
        ({"resources": {"limts": {}}}, ".resources.limts", "unknown field; did you mean 'limits'?"),
        ({"args": "x"}, ".args", 'must be an array, not "x"'),
        ({"args": ["x", 1]}, ".args[1]", "must be a string, not 1"),
        ({"tty": "yes"}, ".tty", 'must be a boolean, not "yes"'),
        ({"ports": [{}]}, ".ports[0].containerPort", "is required"),
        ({"ports": [{"containerPort": True}]}, ".ports[0].containerPort", "must be an integer, not true"),
        (
            {"resources": {"limits": {"memory": "12Q"}}},
            ".resources.limits.memory",
            "must be a quantity such as 500m, 2, 128Mi or 1.5Gi, not '12Q'",
        ),
        (
            {"resources": {"limits": {"cpu": 0.5}}},
            ".resources.limits.cpu",
            "must be an integer or a string, not 0.5; put a fraction in quotes",
        ),
    ],
)
def test_says_what_is_wrong_with_a_container(value: dict[str, Any], path: str, message: str) -> None:
    assert found("Container", {"name": "x", **value}) == {path: message}


@pytest.mark.parametrize("quantity", ["500m", "2", 2, "128Mi", "1.5Gi", ".5", "1e3", "+1", "${params.memory}"])
def test_takes_quantities_and_expressions_for_them(quantity: str | int) -> None:
    assert not found("ResourceRequirements", {"limits": {"memory": quantity}})


def test_gives_the_reason_for_a_field_that_must_not_be_set() -> None:
    assert found("Container", {"name": "x", "image": "y"}, without={"name": "is fixed"}) == {".name": "is fixed"}


def test_a_field_left_out_is_not_required_either() -> None:
    assert not found("Container", {"image": "y"}, without={"name": "is fixed"})


def test_the_labels_of_a_pod_template_are_typed() -> None:
    # Without a type for embedded metadata the API server drops its labels.
    template = structural("JobSpec")["properties"]["template"]["properties"]["metadata"]["properties"]
    assert template["labels"] == {"type": "object", "additionalProperties": {"type": "string"}}


def test_a_structural_schema_has_no_references_and_no_defaults() -> None:
    def keys(node: Any) -> set[str]:
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        own = set(node) if isinstance(node, dict) else set()
        return own.union(*map(keys, inner))

    assert not keys(structural("PodSpec")) & {"$ref", "default", "description"}
