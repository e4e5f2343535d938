"""Tasks that need no pod: what they render to, what they hand on, and what is wrong with one."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.api.definitions import compiled, node, problems, rendered, scope, spec, task

from fairlead.api.kinds import KINDS
from fairlead.engine.model import Clocks, OutputDeclaration, RetryPolicy, ValueType, WorkKind

DAY = {"name": "day", "default": "2026-11-22"}
OBJECT = {"apiVersion": "v1", "kind": "Pod", "name": "db-${params.day}", "when": "${object.status.phase == 'Running'}"}
URL = "https://acme.example/x"


def one(kind: str, given: Any, **fields: Any) -> dict[str, Any]:
    """A definition with one task `a`, and a parameter `day`."""
    return spec(task(**{kind: given}, **fields), params=[DAY])


def outputs(definition: dict[str, Any]) -> dict[str, ValueType | None]:
    return {output.name: output.type for output in node(definition).outputs}


def refusals(definition: dict[str, Any]) -> dict[str, str]:
    return {path.removeprefix("spec.tasks[0]."): message for path, message in problems(definition).items()}


SOME_VALUES = {
    "values": [
        {"name": "n", "value": 3},
        {"name": "text", "value": "on ${params.day}"},
        {"name": "list", "value": "${[1, 2]}"},
        {"name": "tree", "value": {"a": ["${params.day}", None]}},
        {"name": "any", "value": "${fromJson('1')}"},
    ]
}


class TestSet:
    def test_renders_to_its_values(self) -> None:
        assert node(one("set", SOME_VALUES)).work.kind is WorkKind.SET
        assert rendered(one("set", SOME_VALUES)) == {
            "values": {
                "n": 3,
                "text": "on 2026-11-22",
                "list": [1, 2],
                "tree": {"a": ["2026-11-22", None]},
                "any": 1,
            }
        }

    def test_hands_on_its_values_with_their_types(self) -> None:
        assert outputs(one("set", SOME_VALUES)) == {
            "n": ValueType.INTEGER,
            "text": ValueType.STRING,
            "list": ValueType.ARRAY,
            "tree": ValueType.OBJECT,
            "any": None,
        }

    def test_others_know_the_types(self) -> None:
        reads = task("b", needs=["a"], when="${tasks.a.outputs.n == 'x'}")
        found = problems(spec(task("a", set=SOME_VALUES), reads, params=[DAY]))
        assert found == {"spec.tasks[1].when": "'==' does not take integer and string (column 21)"}

    def test_types_go_from_one_to_the_next_in_whatever_order_they_are_written(self) -> None:
        def adds(name: str, other: str) -> dict[str, Any]:
            return task(name, set={"values": [{"name": "n", "value": f"${{tasks.{other}.outputs.n + 1}}"}]})

        first = task("a", set={"values": [{"name": "n", "value": 1}]})
        assert not problems(spec(adds("c", "b"), adds("b", "a"), first))
        assert outputs(spec(first, adds("b", "a"))) == {"n": ValueType.INTEGER}
        wrong = {**first, "set": {"values": [{"name": "n", "value": "x"}]}}
        assert set(problems(spec(adds("c", "b"), adds("b", "a"), wrong))) == {"spec.tasks[1].set.values[0].value"}

    def test_a_cycle_is_told(self) -> None:
        both = [
            task(name, set={"values": [{"name": "n", "value": f"${{tasks.{other}.outputs.n}}"}]})
            for name, other in (("a", "b"), ("b", "a"))
        ]
        assert "form a cycle" in problems(spec(*both))["spec.tasks[0].needs"]

    def test_one_that_does_not_fit_its_model_is_known_by_name(self) -> None:
        broken = task("a", set={"values": [{"name": "n", "value": 1}, {"name": ["x"]}, 7], "more": 1})
        found = problems(spec(broken, task("b", when="${tasks.a.outputs.n > 0}")))
        assert not [path for path in found if path.startswith("spec.tasks[1]")]

    def test_with_items_it_hands_on_lists(self) -> None:
        listed = task("a", forEach={"in": [1, 2]}, set={"values": [{"name": "n", "value": "${item * 2}"}]})
        assert not problems(spec(listed, task("b", needs=["a"], when="${tasks.a.outputs.n.sum() > 2}")))

    def test_a_name_is_there_once(self) -> None:
        given = {"values": [{"name": "n", "value": 1}, {"name": "n", "value": 2}]}
        assert refusals(one("set", given)) == {
            "set.values[1].name": "another value is named 'n', too; names must be unique"
        }

    def test_a_value_is_there(self) -> None:
        assert refusals(one("set", {"values": [{"name": "n"}]})) == {"set.values[0].value": "is required"}
        assert refusals(one("set", {"values": []})) == {"set.values": "must have at least 1 item, not 0"}


NOTHING = {"seconds": None, "until": None, "condition": None, "callback": None, "heartbeatSeconds": None}


class TestWait:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"seconds": 0}, {"seconds": 0}),
            ({"until": "2026-11-22T08:00:00Z"}, {"until": "2026-11-22T08:00:00Z"}),
            ({"until": "${params.day}"}, {"until": "2026-11-22"}),
            ({"until": "${run.startTime}"}, {"until": "2026-11-22T06:30:00Z"}),
            ({"until": "${params.day}T08:00:00Z"}, {"until": "2026-11-22T08:00:00Z"}),
            ({"callback": True, "heartbeatSeconds": 60}, {"callback": True, "heartbeatSeconds": 60}),
        ],
    )
    def test_renders(self, given: dict[str, Any], expected: dict[str, Any]) -> None:
        assert node(one("wait", given)).work.kind is WorkKind.WAIT
        assert rendered(one("wait", given)) == {**NOTHING, **expected}

    def test_a_condition_is_asked_about_the_object(self) -> None:
        work = rendered(one("wait", {"condition": OBJECT}))
        condition = work.pop("condition")
        when = condition.pop("when")
        assert condition == {"apiVersion": "v1", "kind": "Pod", "name": "db-2026-11-22", "intervalSeconds": 10}
        assert when.evaluate(object={"status": {"phase": "Running"}}) is True
        assert work == {name: None for name in NOTHING if name != "condition"}

    def test_a_condition_knows_the_run_as_well(self) -> None:
        given = {"condition": {**OBJECT, "when": "${object.metadata.name == run.name}", "intervalSeconds": 3}}
        condition = rendered(one("wait", given))["condition"]
        assert condition["intervalSeconds"] == 3
        assert condition["when"].evaluate(object={"metadata": {"name": "demo"}}) is True

    def test_a_callback_brings_the_declared_outputs(self) -> None:
        definition = one("wait", {"callback": True}, outputs=[{"name": "n", "type": "integer", "default": 0}])
        assert node(definition).outputs == (
            OutputDeclaration(name="n", type=ValueType.INTEGER, has_default=True, default=0),
        )

    def test_what_it_reads_is_a_dependency(self) -> None:
        condition = {**OBJECT, "when": "${object.n == tasks.first.phase}"}
        graph = compiled(spec(task("first"), task(wait={"condition": condition}), params=[DAY])).graph
        assert graph.nodes["a"].needs == ("first",)

    @pytest.mark.parametrize(
        ("given", "fields", "path", "message"),
        [
            ({}, {}, "wait", "must have exactly one of `seconds`, `until`, `condition` and `callback`; none is there"),
            ({"callback": False}, {}, "wait", "must have exactly one of"),
            ({"seconds": 0, "until": "2026-11-22"}, {}, "wait", "must have exactly one of `seconds`, `until`, `cond"),
            ({"seconds": -1}, {}, "wait.seconds", "must be greater than or equal to 0"),
            ({"until": "tomorrow"}, {}, "wait.until", "must be a time such as 2026-01-31T08:00:00Z, or a date, not 't"),
            (
                {"until": "${1 + 1}"},
                {},
                "wait.until",
                "must be a time or a date, but the expression is of type integer",
            ),
            ({"until": "${"}, {}, "wait.until", "'${' is not closed by '}'"),
            ({"seconds": 1, "heartbeatSeconds": 1}, {}, "wait.heartbeatSeconds", "must not be set without `callback`"),
            (
                {"condition": {**OBJECT, "when": "${object.status.phase}"}},
                {},
                "",
                "",
            ),
            (
                {"condition": {**OBJECT, "when": "${objekt.status}"}},
                {},
                "wait.condition.when",
                "no variable 'objekt'; did you mean 'object'?",
            ),
            (
                {"condition": {**OBJECT, "when": "true"}},
                {},
                "wait.condition.when",
                "must be an expression, such as ${true}",
            ),
            (
                {"condition": {**OBJECT, "kind": "${params.day}"}},
                {},
                "wait.condition.kind",
                "must be a kind such as Pod, unlike",
            ),
            (
                {"condition": {**OBJECT, "apiVersion": "Pod"}},
                {},
                "wait.condition.apiVersion",
                "must be an API version such as v1 or batch/v1, unlike",
            ),
            (
                {"seconds": 1},
                {"timeoutSeconds": 5},
                "timeoutSeconds",
                "must not be set with `wait.seconds`, which says",
            ),
            (
                {"until": "2026-11-22"},
                {"timeoutSeconds": 5},
                "timeoutSeconds",
                "must not be set with `wait.until`, which says how long the task takes",
            ),
            (
                {"condition": OBJECT},
                {"outputs": [{"name": "n"}]},
                "outputs",
                "must not be set but with `wait.callback`: no other wait gets values",
            ),
            (
                {"callback": True},
                {"outputs": [{"name": "n", "from": "Stdout"}]},
                "outputs[0].from",
                "must not be set with `wait`",
            ),
        ],
    )
    def test_says_what_is_wrong(self, given: Any, fields: Any, path: str, message: str) -> None:
        found = refusals(one("wait", given, **fields))
        assert list(found) == ([path] if path else [])
        assert found.get(path, "").startswith(message)

    def test_its_time_limit_is_its_own(self) -> None:
        limited = one("wait", {"callback": True}, timeoutSeconds=5, deadlineSeconds=6)
        assert node(limited).clocks == Clocks(run_seconds=5, deadline_seconds=6)


FORM = [
    {"name": "budget", "type": "integer", "maximum": 100, "default": 10},
    {"name": "why", "description": "In a word."},
]

ASKED = {
    "message": "Publish ${params.day}?",
    "options": ["Publish", "Publish later"],
    "form": FORM,
    "users": ["jo", "${params.day}"],
    "groups": ["data"],
}


class TestApproval:
    def test_renders(self) -> None:
        assert node(one("approval", ASKED)).work.kind is WorkKind.APPROVAL
        assert rendered(one("approval", ASKED)) == {
            "message": "Publish 2026-11-22?",
            "options": ["Publish", "Publish later"],
            "form": FORM,
            "users": ["jo", "2026-11-22"],
            "groups": ["data"],
            "onTimeout": "Reject",
        }

    def test_has_defaults(self) -> None:
        assert rendered(one("approval", {"message": "Go?"})) == {
            "message": "Go?",
            "options": ["Approve"],
            "form": [],
            "users": [],
            "groups": [],
            "onTimeout": "Reject",
        }

    def test_its_time_limit_becomes_that_of_the_attempt(self) -> None:
        timed = {"message": "Go?", "timeoutSeconds": 60, "onTimeout": "Approve"}
        assert node(one("approval", timed)).clocks == Clocks(run_seconds=60)
        assert rendered(one("approval", timed))["onTimeout"] == "Approve"

    def test_hands_on_the_decision_and_the_form(self) -> None:
        assert node(one("approval", ASKED)).outputs == (
            OutputDeclaration(name="option", type=ValueType.STRING),
            OutputDeclaration(name="by", type=ValueType.STRING),
            OutputDeclaration(name="at", type=ValueType.STRING),
            OutputDeclaration(name="budget", type=ValueType.INTEGER, has_default=True, default=10),
            OutputDeclaration(name="why", type=ValueType.STRING),
        )

    @pytest.mark.parametrize(
        ("source", "message"),
        [
            ("tasks.a.outputs.by + tasks.a.outputs.at + tasks.a.outputs.why == ''", ""),
            ("tasks.a.outputs.budget > 'x'", "'>' does not take integer and string"),
            ("tasks.a.outputs.who == ''", "task 'a' has no output 'who'; did you mean 'why'?"),
        ],
    )
    def test_others_know_the_types(self, source: str, message: str) -> None:
        reads = task("b", needs=["a"], when=f"${{{source}}}")
        found = problems(spec(task("a", approval=ASKED), reads, params=[DAY]))
        assert list(found) == (["spec.tasks[1].when"] if message else [])
        assert found.get("spec.tasks[1].when", "").startswith(message)

    @pytest.mark.parametrize(
        ("given", "path", "message"),
        [
            ({"message": ""}, "message", "must have at least 1 character"),
            ({"options": []}, "options", "must have at least 1 item"),
            ({"options": ["a", "b", "a"]}, "options[2]", "'a' is there twice; options must be unique"),
            (
                {"onTimeout": "Approve"},
                "onTimeout",
                "must not be set without `timeoutSeconds`: a decision is waited for without limit",
            ),
            ({"onTimeout": "Skip"}, "onTimeout", "must be one of Approve, Reject, not 'Skip'"),
            (
                {"form": [{"name": "by"}]},
                "form[0].name",
                "must be another name: the output 'by' is there by itself",
            ),
            (
                {"form": [{"name": "n"}, {"name": "n"}]},
                "form[1].name",
                "another field is named 'n', too; names must be unique",
            ),
            ({"form": [{"name": "n", "default": 1}]}, "form[0].default", "must be of type string, not 1"),
            ({"form": [{"name": "n", "minimum": 1}]}, "form[0].minimum", "must not be set for type string"),
            (
                {"form": [{"name": "n"}], "timeoutSeconds": 1, "onTimeout": "Approve"},
                "form[0].default",
                "is required with `onTimeout: Approve`, which fills in the defaults",
            ),
            ({"message": "${params.dya}"}, "message", "no parameter 'dya'; did you mean 'day'?"),
            ({"users": ["${params.dya}"]}, "users[0]", "no parameter 'dya'; did you mean 'day'?"),
        ],
    )
    def test_says_what_is_wrong(self, given: dict[str, Any], path: str, message: str) -> None:
        found = refusals(one("approval", {"message": "Go?", **given}))
        assert list(found) == [f"approval.{path}"]
        assert found[f"approval.{path}"].startswith(message)


class TestHttp:
    def test_renders(self) -> None:
        given = {
            "method": "POST",
            "url": f"{URL}/${{params.day}}",
            "headers": [
                {"name": "X-Day", "value": "${params.day}"},
                {"name": "Authorization", "valueFrom": {"secretKeyRef": {"name": "api", "key": "token"}}},
            ],
            "body": "${{'day': params.day}}",
            "timeoutSeconds": 5,
            "idempotent": True,
            "allowPrivate": True,
        }
        assert node(one("http", given)).work.kind is WorkKind.HTTP
        assert rendered(one("http", given)) == {
            "method": "POST",
            "url": f"{URL}/2026-11-22",
            "headers": [
                {"name": "X-Day", "value": "2026-11-22", "secretName": None, "secretKey": None},
                {"name": "Authorization", "value": None, "secretName": "api", "secretKey": "token"},
            ],
            "body": '{"day":"2026-11-22"}',
            "timeoutSeconds": 5,
            "idempotent": True,
            "allowPrivate": True,
            "successWhen": None,
            "outputs": [],
        }

    def test_has_defaults(self) -> None:
        work = rendered(one("http", {"url": URL}))
        assert (work["method"], work["timeoutSeconds"], work["body"]) == ("GET", 30, None)
        assert (work["idempotent"], work["allowPrivate"]) == (False, False)

    def test_success_and_outputs_are_asked_about_the_response(self) -> None:
        definition = one(
            "http",
            {"url": URL, "successWhen": "${response.status < 300 && response.body.day == params.day}"},
            outputs=[
                {"name": "status", "type": "integer", "from": "${response.status}"},
                {"name": "ratio", "type": "number", "from": "${response.status}"},
                {"name": "id", "from": "${response.body.id}"},
                {"name": "kind", "from": "${response.headers['content-type']}"},
                {"name": "text", "from": "got ${response.text}"},
            ],
        )
        answer = {
            "status": 200,
            "headers": {"content-type": "x"},
            "body": {"day": "2026-11-22", "id": "7"},
            "text": "t",
        }
        work = rendered(definition)
        assert work["successWhen"].evaluate(response=answer) is True
        assert {name: bound.evaluate(response=answer) for name, bound in work["outputs"]} == {
            "status": 200,
            "ratio": 200,
            "id": "7",
            "kind": "x",
            "text": "got t",
        }

    def test_its_time_limit_is_not_that_of_pods(self) -> None:
        definition = spec(task(http={"url": URL}), taskDefaults={"timeoutSeconds": 5, "queueTimeoutSeconds": 6})
        assert node(definition).clocks == Clocks(queue_seconds=6)

    def test_what_it_reads_is_a_dependency(self) -> None:
        for given in (
            {"url": f"{URL}/${{tasks.first.phase}}"},
            {"url": URL, "body": "${tasks.first.phase}"},
            {"url": URL, "headers": [{"name": "X", "value": "${tasks.first.phase}"}]},
            {"url": URL, "successWhen": "${response.text == tasks.first.phase}"},
        ):
            graph = compiled(spec(task("first"), task(http=given))).graph
            assert graph.nodes["a"].needs == ("first",)

    def test_a_body_may_be_longer_than_an_argument(self) -> None:
        assert not problems(one("http", {"url": URL, "body": "x" * 200_000}))

    @pytest.mark.parametrize(
        ("given", "outputs", "path", "message"),
        [
            ({}, [], "http.url", "is required"),
            ({"url": "acme.example"}, [], "http.url", "must begin with http:// or https://, unlike 'acme.example'"),
            ({"url": URL, "method": "get"}, [], "http.method", "must be one of GET, HEAD, POST"),
            (
                {"url": URL, "headers": [{"name": "Host", "value": "x"}]},
                [],
                "http.headers[0].name",
                "Host belongs to the connection, and cannot be set",
            ),
            (
                {"url": URL, "headers": [{"name": "a b", "value": "x"}]},
                [],
                "http.headers[0].name",
                "must be the name of a header, unlike",
            ),
            (
                {"url": URL, "headers": [{"name": "X"}]},
                [],
                "http.headers[0]",
                "must have exactly one of `value` and `valueFrom`",
            ),
            (
                {
                    "url": URL,
                    "headers": [
                        {"name": "X", "valueFrom": {"secretKeyRef": {"name": "${params.day}", "key": "k"}}},
                    ],
                },
                [],
                "http.headers[0].valueFrom.secretKeyRef.name",
                "must consist of lowercase letters, digits, '-' and '.', and begin",
            ),
            (
                {"url": URL, "successWhen": "${response.status}"},
                [],
                "http.successWhen",
                "must be true or false, but the expression is of type integer",
            ),
            (
                {"url": URL, "successWhen": "${response.code == 1}"},
                [],
                "http.successWhen",
                "response has no field 'code'",
            ),
            (
                {"url": f"{URL}?${{response.status}}"},
                [],
                "http.url",
                "no variable 'response' here: there is one only in the `successWhen` and the outputs",
            ),
            (
                {"url": URL},
                [{"name": "n"}],
                "outputs[0].from",
                "is required: an expression over `response` that gives the value",
            ),
            (
                {"url": URL},
                [{"name": "n", "from": "response.body"}],
                "outputs[0].from",
                "must be an expression, such as ${response.body}",
            ),
            (
                {"url": URL},
                [{"name": "n", "from": "${response.status}"}],
                "outputs[0].from",
                "is of type integer, but the output is declared as string: set its `type`",
            ),
            (
                {"url": URL},
                [{"name": "n", "from": "${response.sta}"}],
                "outputs[0].from",
                "response has no field 'sta'",
            ),
        ],
    )
    def test_says_what_is_wrong(self, given: Any, outputs: Any, path: str, message: str) -> None:
        found = refusals(one("http", given, outputs=outputs))
        assert list(found) == [path]
        assert found[path].startswith(message)


GOOD = {
    "wait": {"callback": True},
    "approval": {"message": "Go?"},
    "http": {"url": URL},
    "set": {"values": [{"name": "n", "value": 1}]},
}
FIELDS = {
    "env": [{"name": "A", "value": "x"}],
    "pod": {"nodeName": "n"},
    "skipExitCodes": [9],
    "onNodeLost": {"replaceAfterSeconds": 1},
    "outputs": [{"name": "n", "from": "${response.text}"}],
    "repeat": {"until": "${true}", "maxIterations": 2},
    "retry": {"limit": 1},
    "timeoutSeconds": 1,
    "deadlineSeconds": 1,
    "startTimeoutSeconds": 1,
    "queueTimeoutSeconds": 1,
    "priority": 1,
}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("kind", GOOD)
def test_a_field_that_means_nothing_is_refused_with_the_reason(kind: str, field: str) -> None:
    found = refusals(one(kind, GOOD[kind], **{field: FIELDS[field]}))
    unfit = KINDS[kind].unfit
    if field in unfit:
        assert found == {field: f"must not be set with `{kind}`: {unfit[field]}"}
    else:
        assert field not in found


@pytest.mark.parametrize("kind", GOOD)
def test_what_is_for_pods_alone_is_refused_for_all_of_them(kind: str) -> None:
    assert {"env", "pod", "skipExitCodes", "onNodeLost", "startTimeoutSeconds"} <= set(KINDS[kind].unfit)


def test_so_are_retry_rules_about_containers() -> None:
    rules = [{"reasons": ["HttpStatus"], "exitCodes": [1], "resources": {"limits": {"memory": "1Gi"}}}]
    assert refusals(one("http", GOOD["http"], retry={"rules": rules})) == {
        "retry.rules[0].exitCodes": "must not be set with `http`: it has no exit code",
        "retry.rules[0].resources": "must not be set with `http`: it runs no container",
    }


@pytest.mark.parametrize("kind", ["wait", "approval", "set"])
def test_defaults_that_mean_nothing_do_not_apply(kind: str) -> None:
    defaults = {"retry": {"limit": 3}, "timeoutSeconds": 1, "queueTimeoutSeconds": 1, "startTimeoutSeconds": 1}
    made = node(spec(task(**{kind: GOOD[kind]}), taskDefaults=defaults))
    assert made.retry == RetryPolicy()
    assert made.clocks == Clocks()


def test_a_request_is_tried_again_by_default_as_pods_are() -> None:
    assert node(spec(task(http=GOOD["http"]), taskDefaults={"retry": {"limit": 3}})).retry.limit == 3


@pytest.mark.parametrize("kind", GOOD)
def test_each_goes_with_items_and_conditions(kind: str) -> None:
    made = node(one(kind, GOOD[kind], forEach={"in": ["x"]}, when="${params.day != ''}", onFailure="Continue"))
    assert made.for_each is not None
    assert made.when is not None
    assert made.when.evaluate(scope(one(kind, GOOD[kind]))) is True
