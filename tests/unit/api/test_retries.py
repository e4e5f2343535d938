"""Retry rules: what they become, what their conditions see, and what is wrong with one."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.definitions import compiled, node, problems, spec, task

from fairlead.engine.model import Backoff, Jitter, RetryRule

ATTEMPT = {"number": 2, "exitCode": 137, "class": "User", "reason": "OOMKilled", "message": "m"}


def with_rules(*rules: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return task(retry={"rules": list(rules), **fields})


def test_a_rule_is_handed_to_the_engine() -> None:
    resources = {"limits": {"memory": "2Gi"}}
    rule = {"exitCodes": [3, 4], "reasons": ["OOMKilled"], "limit": 5, "resources": resources}
    [made] = node(spec(with_rules(rule))).retry.rules
    assert made == RetryRule(
        exit_codes=frozenset({3, 4}), reasons=frozenset({"OOMKilled"}), limit=5, resources=resources
    )


def test_the_delays_of_a_rule_complete_those_of_the_task() -> None:
    rule = {"exitCodes": [3], "backoff": {"initialSeconds": 1}}
    definition = spec(with_rules(rule, backoff={"factor": 3}), taskDefaults={"retry": {"backoff": {"jitter": "Full"}}})
    [made] = node(definition).retry.rules
    assert made.backoff == Backoff(initial_seconds=1, factor=3, max_seconds=300, jitter=Jitter.FULL)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("attempt.exitCode == 137", True),
        ("attempt.reason == 'OOMKilled' && attempt.number < 2", False),
        ("attempt['class'] == 'User' && attempt.message == 'm'", True),
        ("attempt.?exitCode.orValue(0) == 0", False),
        ("run.attempt == 1", True),
    ],
)
def test_a_condition_sees_the_attempt(when: str, expected: bool) -> None:
    [made] = node(spec(with_rules({"when": f"${{{when}}}"}))).retry.rules
    assert made.when is not None
    assert made.when.evaluate({"attempt": ATTEMPT, "run": {"attempt": 1}}) is expected


def test_a_condition_sees_what_the_task_sees() -> None:
    rule = {"when": "${item == 'eu' && attempt.number < 3}"}
    [made] = node(spec({**with_rules(rule), "forEach": {"in": ["eu"]}})).retry.rules
    assert made.when is not None
    assert made.when.evaluate({"attempt": ATTEMPT, "item": "eu"}) is True


def test_what_a_condition_reads_is_a_dependency() -> None:
    rule = {"when": "${tasks.first.phase == 'Succeeded'}"}
    assert compiled(spec(task("first"), with_rules(rule))).graph.nodes["a"].needs == ("first",)


def test_a_tasks_own_rules_take_the_place_of_the_default_ones() -> None:
    defaults = {"retry": {"rules": [{"exitCodes": [7], "limit": 7}], "limit": 2}}
    definition = spec(task("a"), task("b", retry={"rules": [{"exitCodes": [8]}]}), taskDefaults=defaults)
    graph = compiled(definition).graph
    assert [rule.exit_codes for rule in graph.nodes["a"].retry.rules] == [{7}]
    assert [rule.exit_codes for rule in graph.nodes["b"].retry.rules] == [{8}]
    assert graph.nodes["b"].retry.limit == 2


@pytest.mark.parametrize(
    ("rule", "field", "message"),
    [
        ({"limit": 3}, "", "must have at least one of `exitCodes`, `reasons` and `when`"),
        ({"when": "${attempt.number}"}, ".when", "must be true or false, but the expression is of type integer"),
        ({"when": "true"}, ".when", "must be an expression, such as ${true}"),
        (
            {"when": "${attempt.exitcode == 1}"},
            ".when",
            "attempt has no field 'exitcode'; did you mean 'exitCode'?",
        ),
        ({"exitCodes": [256]}, ".exitCodes[0]", "must be less than or equal to 255"),
        ({"exitCodes": []}, ".exitCodes", "must have at least 1 item"),
        (
            {"exitCodes": [1], "resources": {"limits": {"memory": "lots"}}},
            ".resources.limits.memory",
            "must be a quantity",
        ),
        (
            {"exitCodes": [1], "resources": {"limits": {"memory": "${run.name}"}}},
            ".resources",
            "must be written out: no expressions are replaced in it",
        ),
    ],
)
@pytest.mark.parametrize("place", ["spec.tasks[0]", "spec.taskDefaults"])
def test_says_what_is_wrong(place: str, rule: dict[str, Any], field: str, message: str) -> None:
    retry = {"retry": {"rules": [rule]}}
    definition = spec(task(**retry)) if place == "spec.tasks[0]" else spec(taskDefaults=retry)
    found = problems(definition)
    assert list(found) == [f"{place}.retry.rules[0]{field}"]
    assert found[f"{place}.retry.rules[0]{field}"].startswith(message)


def test_the_conditions_of_the_defaults_are_the_same_for_all_tasks() -> None:
    rules = [{"when": "${tasks.a.phase == 'x'}"}]
    assert problems(spec(taskDefaults={"retry": {"rules": rules}})) == {
        "spec.taskDefaults.retry.rules[0].when": "must not refer to tasks: the defaults are the same for all of them"
    }
