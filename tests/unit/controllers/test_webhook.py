"""The API server's questions about new definitions, asked over TLS as it asks them, and the answers that it gets."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from tests.unit.controllers.fake_api import NAMESPACE, FakeApi
from tests.unit.controllers.pki import Authority

from fairlead.api.lint import lint_documents
from fairlead.api.problems import Severity
from fairlead.controllers import webhook
from fairlead.controllers.certificate import CertificateFiles
from fairlead.controllers.webhook import WebhookServer
from fairlead.expr.cel import CelEvaluator
from fairlead.kube.errors import ApiError
from fairlead.kube.resources import CONTROLLERREVISIONS, WORKFLOWTEMPLATES
from fairlead.telemetry.metrics import Metrics

RECORDED = Path(__file__).with_name("recorded")
EVALUATOR = CelEvaluator()

Object = dict[str, Any]

POD: Object = {"container": {"image": "busybox:1.36"}}
GOOD: Object = {"tasks": [{"name": "a", **POD}]}
BAD: Object = {"tasks": [{"name": "a", "needs": ["nobody"], **POD}]}


@dataclass
class Asking:
    """The API server's side: it asks, and counts nothing but what it gets."""

    session: aiohttp.ClientSession
    url: str
    metrics: Metrics

    async def ask(self, new: Object, old: Object | None = None, **fields: Any) -> Object:
        """Return the response to a question; without `old` it is about a creation."""
        document = review(new, old, **fields)
        async with self.session.post(self.url, data=body_of(document)) as got:
            assert got.status == 200, await got.text()
            answer = await got.json()
        assert (answer["apiVersion"], answer["kind"]) == (document["apiVersion"], document["kind"])
        assert answer["response"]["uid"] == document["request"]["uid"]
        return dict(answer["response"])

    def count(self, kind: str, result: str) -> float:
        labels = {"kind": kind, "result": result}
        return self.metrics.registry.get_sample_value("fairlead_admission_requests_total", labels) or 0.0


def review(new: Object, old: Object | None = None, **fields: Any) -> Object:
    group, _, version = new["apiVersion"].partition("/")
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": group, "version": version, "kind": new["kind"]},
        "namespace": NAMESPACE,
        "operation": "CREATE" if old is None else "UPDATE",
        "object": new,
        "oldObject": old,
        "dryRun": False,
        "options": {},
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request | fields}


def body_of(document: Object) -> BytesIO:
    return BytesIO(json.dumps(document).encode())


def of(kind: str, spec: Any, name: str = "x", **more: Any) -> Object:
    metadata = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "fairlead.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec, **more}


def workflow(spec: Any, **more: Any) -> Object:
    return of("Workflow", spec, **more)


def causes(response: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(cause["field"], cause["message"]) for cause in response["status"]["details"]["causes"]]


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    found = Authority(tmp_path_factory.mktemp("pki"))
    found.issue("webhook")
    return found


@dataclass
class Serving:
    """How a test gets a server."""

    api: FakeApi
    authority: Authority

    @asynccontextmanager
    async def __call__(self, **options: Any) -> AsyncIterator[Asking]:
        metrics, root = Metrics(), self.authority.root
        certificate = CertificateFiles(root / "webhook.crt", root / "webhook.key")
        server = WebhookServer(self.api, EVALUATOR, metrics, certificate, **options)
        port = await server.start("127.0.0.1", 0)
        try:
            connector = aiohttp.TCPConnector(ssl=self.authority.trust(), limit=0)
            async with aiohttp.ClientSession(connector=connector) as session:
                yield Asking(session, f"https://127.0.0.1:{port}/validate", metrics)
        finally:
            await server.close()


@pytest.fixture
def serve(api: FakeApi, authority: Authority) -> Serving:
    return Serving(api, authority)


@pytest.fixture
async def apiserver(serve: Serving) -> AsyncIterator[Asking]:
    async with serve() as asking:
        yield asking


# -- what is refused: exactly what lint says

CONTAINER_TWICE = {"name": "a", **POD}
REFUSED = {
    "unknown name": workflow(BAD),
    "cycle": workflow({"tasks": [{"name": "a", "needs": ["b"], **POD}, {"name": "b", "needs": ["a"], **POD}]}),
    "expression": workflow({"tasks": [{"name": "a", "when": "${1 +}", **POD}]}),
    "unknown parameter": workflow({"tasks": [{"name": "a", "when": "${params.nope}", **POD}]}),
    "type": workflow({"tasks": [{"name": "a", "when": "${'yes'}", **POD}]}),
    "argument": workflow(
        {"params": [{"name": "n", "type": "integer"}], "arguments": [{"name": "n", "value": "3"}], **GOOD}
    ),
    "missing argument": workflow({"params": [{"name": "n"}], **GOOD}),
    "limit": workflow({"tasks": [{"name": "a", "forEach": {"in": [*range(10_001)]}, **POD}]}),
    "twice": workflow({"tasks": [CONTAINER_TWICE, CONTAINER_TWICE]}),
    "field": workflow({"tasks": [{"name": "a", "container": {"args": ["x"]}}]}),
    "no spec": workflow("text"),
    "several": yaml.safe_load((RECORDED / "three-mistakes.yaml").read_text()),
    "template": of("WorkflowTemplate", {"params": [{"name": "day"}], **BAD}),
    "action": of("WorkflowAction", {"workflowName": "a", "workflowUID": "b", "action": "Stop", "phase": "Failed"}),
}


@pytest.mark.row("A1")
@pytest.mark.parametrize("document", REFUSED.values(), ids=REFUSED)
async def test_the_causes_of_a_refusal_are_what_lint_says(apiserver: Asking, document: Object) -> None:
    said = lint_documents(json.dumps(document), evaluator=EVALUATOR)
    errors = {(each.path, each.message) for each in said if each.severity is Severity.ERROR}
    assert errors

    response = await apiserver.ask(document)

    assert response["allowed"] is False
    status = response["status"]
    assert (status["reason"], status["code"]) == ("Invalid", 422)
    details = status["details"]
    assert (details["kind"], details["name"]) == (document["kind"], document["metadata"]["name"])
    found = causes(response)
    assert {(field, without_value(message)) for field, message in found} == errors
    assert len(found) == len(errors)
    assert apiserver.count(document["kind"], "refused") == 1


def without_value(message: str) -> str:
    """What we say, without what the API server's form puts in front of it."""
    for prefix in ("Required value: ", "Invalid value: "):
        if message.startswith(prefix):
            rest = message.removeprefix(prefix)
            if prefix.startswith("Required"):
                return rest
            _, end = json.JSONDecoder().raw_decode(rest)
            return rest[end:].removeprefix(": ")
    return message


def kubectl(response: Mapping[str, Any]) -> str:
    """What kubectl prints for a refusal that is `Invalid`: checkErr and MultilineError of its cmd/util/helpers.go."""
    details = response["status"]["details"]
    lines = [f"{field}: {message}" for field, message in causes(response)]
    begin = f'The {details["kind"]} "{details["name"]}" is invalid: '
    return begin + lines[0] if len(lines) == 1 else "\n* ".join([begin, *lines])


@pytest.mark.row("A1")
async def test_kubectl_prints_all_of_it_in_its_own_form(apiserver: Asking) -> None:
    response = await apiserver.ask(REFUSED["several"])
    assert kubectl(response) + "\n" == (RECORDED / "three-mistakes.txt").read_text()


async def test_the_message_is_that_of_the_api_server(apiserver: Asking) -> None:
    response = await apiserver.ask(workflow(BAD))
    [(field, message)] = causes(response)
    assert response["status"]["message"] == f'Workflow.fairlead.dev "x" is invalid: {field}: {message}'
    response = await apiserver.ask(REFUSED["several"])
    listed = ", ".join(f"{field}: {message}" for field, message in causes(response))
    assert response["status"]["message"] == f'Workflow.fairlead.dev "three-mistakes" is invalid: [{listed}]'


async def test_a_cause_shows_the_value_as_the_api_server_does(apiserver: Asking) -> None:
    long = "x" * 500
    response = await apiserver.ask(
        workflow({"tasks": [{"name": "a", "needs": ["b"], **POD}, {"name": "b", "needs": ["a", long], **POD}]})
    )
    said = dict(causes(response))
    assert said["spec.tasks[0].needs"].startswith('Invalid value: "array": the tasks form a cycle')
    assert said["spec.tasks[1].needs[1]"].startswith(f'Invalid value: "{"x" * 77}…": ')


async def test_of_thousands_of_problems_the_first_are_told_and_how_many_there_are(apiserver: Asking) -> None:
    response = await apiserver.ask(
        workflow({"tasks": [{"name": f"t{n}", "needs": ["no", "nor"], **POD} for n in range(600)]})
    )
    assert len(causes(response)) == 1001
    assert causes(response)[-1] == ("spec", "200 more problems")


# -- what is allowed


async def test_a_good_one_is_allowed(apiserver: Asking) -> None:
    response = await apiserver.ask(workflow(GOOD))
    assert {**response, "uid": ""} == {"uid": "", "allowed": True}
    assert apiserver.count("Workflow", "allowed") == 1


async def test_advice_is_a_warning(apiserver: Asking) -> None:
    tasks = [
        {"name": "a", "outputs": [{"name": "n", "type": "integer"}], **POD},
        {"name": "b", "when": "${tasks.a.outputs.n > 0}", **POD},
    ]
    response = await apiserver.ask(workflow({"tasks": tasks}))
    assert response["allowed"]
    [warning] = response["warnings"]
    assert warning.startswith("spec.tasks[1].when: reads task 'a'")


NOT_JUDGED = {
    "status": (workflow(BAD), {"subResource": "status", "operation": "UPDATE"}),
    "delete": (workflow(BAD), {"operation": "DELETE"}),
    "another kind of ours": (of("TaskStatusShard", {}), {}),
    "another group": (workflow(BAD) | {"apiVersion": "other.example/v1"}, {}),
}


@pytest.mark.parametrize(("document", "fields"), NOT_JUDGED.values(), ids=NOT_JUDGED)
async def test_what_is_no_definition_is_not_judged(apiserver: Asking, document: Object, fields: Object) -> None:
    assert (await apiserver.ask(document, **fields))["allowed"]


# -- updates

STARTED = {"startTime": "2026-11-22T08:00:00Z"}


async def test_a_correction_is_judged_as_a_new_one_is(apiserver: Asking) -> None:
    assert (await apiserver.ask(workflow(GOOD), workflow(BAD)))["allowed"]
    assert not (await apiserver.ask(workflow(BAD), workflow(GOOD)))["allowed"]


async def test_one_that_was_never_valid_can_lose_its_finalizers(apiserver: Asking) -> None:
    held = workflow(BAD)
    held["metadata"] |= {"finalizers": ["example.com/held"]}
    assert (await apiserver.ask(workflow(BAD), held))["allowed"]


async def test_one_that_is_being_deleted_is_left_alone(apiserver: Asking) -> None:
    going = workflow(BAD)
    going["metadata"] |= {"deletionTimestamp": "2026-11-22T08:00:00Z"}
    assert (await apiserver.ask(going, workflow(GOOD)))["allowed"]


async def test_of_a_run_only_what_may_change_is_judged(apiserver: Asking) -> None:
    old = workflow(BAD, status=STARTED)
    assert (await apiserver.ask(workflow(BAD | {"suspend": True}, status=STARTED), old))["allowed"]

    response = await apiserver.ask(workflow(BAD | {"parallelism": 0}, status=STARTED), old)

    assert [field for field, _ in causes(response)] == ["spec.parallelism"]


def with_override(task: str, spec: Object, **more: Any) -> Object:
    return workflow(spec | {"overrides": [{"task": task, "maxParallel": 2}]} | more, status=STARTED)


LIST: Object = {"tasks": [{"name": "load", "forEach": {"in": [1, 2]}, **POD}]}


async def test_an_override_must_fit_a_task_of_the_run(apiserver: Asking) -> None:
    old = workflow(LIST, status=STARTED)
    assert (await apiserver.ask(with_override("load", LIST), old))["allowed"]

    response = await apiserver.ask(with_override("laod", LIST), old)

    assert [field for field, _ in causes(response)] == ["spec.overrides[0].task"]


async def test_one_that_never_fitted_keeps_nobody_from_suspending_the_run(apiserver: Asking) -> None:
    assert (await apiserver.ask(with_override("laod", LIST, suspend=True), with_override("laod", LIST)))["allowed"]


async def test_in_a_run_of_a_template_it_must_fit_what_the_run_keeps(api: FakeApi, apiserver: Asking) -> None:
    spec = {"templateRef": {"name": "sales"}}
    status = STARTED | {"definition": {"template": "sales", "revision": "kept"}}
    api.put(CONTROLLERREVISIONS, {"metadata": {"namespace": NAMESPACE, "name": "kept"}, "data": LIST})
    template(api, GOOD)  # as it is by now

    async def ask(task: str) -> Object:
        return await apiserver.ask(with_override(task, spec) | {"status": status}, workflow(spec, status=status))

    assert (await ask("load"))["allowed"]
    assert not (await ask("a"))["allowed"]
    api.fail(ApiError(500), "get", CONTROLLERREVISIONS)
    assert (await ask("a"))["allowed"]


# -- templates


def template(api: FakeApi, spec: Object) -> None:
    api.put(WORKFLOWTEMPLATES, of("WorkflowTemplate", spec, "sales"))


def of_template(**spec: Any) -> Object:
    return workflow({"templateRef": {"name": "sales"}, **spec})


async def test_arguments_are_judged_by_the_template(api: FakeApi, apiserver: Asking) -> None:
    template(api, {"params": [{"name": "n", "type": "integer"}], **GOOD})
    assert (await apiserver.ask(of_template(arguments=[{"name": "n", "value": 3}])))["allowed"]

    response = await apiserver.ask(of_template(arguments=[{"name": "n", "value": "3"}]))

    assert [field for field, _ in causes(response)] == ["spec.arguments[0].value"]


async def test_an_unknown_template_is_a_warning_since_it_may_come_later(apiserver: Asking) -> None:
    response = await apiserver.ask(of_template())
    assert response["allowed"]
    [warning] = response["warnings"]
    assert "there is no WorkflowTemplate 'sales' (yet)" in warning


async def test_what_can_be_judged_without_the_template_is(apiserver: Asking) -> None:
    response = await apiserver.ask(of_template(params=[]))
    assert [field for field, _ in causes(response)] == ["spec.params"]
    assert len(response["warnings"]) == 1


async def test_a_template_that_cannot_be_read_is_a_warning(api: FakeApi, apiserver: Asking) -> None:
    api.fail(ApiError(500, message="etcd is away"), "get", WORKFLOWTEMPLATES)
    response = await apiserver.ask(of_template())
    assert response["allowed"]
    assert "cannot be read" in response["warnings"][0]


async def test_a_template_that_is_not_answered_for_is_a_warning(
    api: FakeApi, apiserver: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "_TEMPLATE_SECONDS", 0.01)
    held = api.hold("get", WORKFLOWTEMPLATES)
    response = await apiserver.ask(of_template())
    assert response["allowed"]
    assert "does not answer in time" in response["warnings"][0]
    held.lift()


# -- nothing of ours stands in anybody's way


async def test_a_fault_of_ours_lets_it_in_with_a_warning(
    apiserver: Asking, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def examine(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(webhook, "examine", examine)
    response = await apiserver.ask(workflow(BAD))
    assert response["allowed"]
    assert "by a fault of Fairlead's" in response["warnings"][0]
    assert "ZeroDivisionError" in caplog.text
    assert apiserver.count("Workflow", "error") == 1


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Judging takes until the end of the test."""
    over = threading.Event()
    monkeypatch.setattr(webhook, "examine", lambda *_: over.wait(10))
    yield
    over.set()


async def test_what_takes_too_long_is_let_in_with_a_warning(serve: Serving, stuck: None) -> None:
    async with serve(answer_seconds=0.3) as apiserver:
        # More than there are threads: those that only wait for one are told in time, too.
        responses = await asyncio.gather(*(apiserver.ask(workflow(BAD)) for _ in range(4)))
        assert all(response["allowed"] for response in responses)
        assert all("would take too long" in response["warnings"][0] for response in responses)
        assert apiserver.count("Workflow", "timeout") == 4


async def test_what_cannot_be_read_in_time_is_an_error_which_the_configuration_ignores(
    serve: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "_REQUESTS", 0)
    async with serve(answer_seconds=0.1) as apiserver:
        async with apiserver.session.post(apiserver.url, data=body_of(review(workflow(BAD)))) as got:
            assert got.status == 503
        assert apiserver.count("unknown", "timeout") == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("{", "unexpected end"),
        ("[]", "not an AdmissionReview"),
        ('{"apiVersion": "admission.k8s.io/v1beta1"}', "not an AdmissionReview"),
        ('{"apiVersion": "admission.k8s.io/v1", "request": {}}', "no request with a uid"),
        ('{"apiVersion": "admission.k8s.io/v1", "request": {"uid": "x", "object": 1}}', "must be objects"),
    ],
)
async def test_what_is_no_question_gets_no_answer(apiserver: Asking, body: str, words: str) -> None:
    async with apiserver.session.post(apiserver.url, data=body) as got:
        assert got.status == 400
        assert words in await got.text()
    assert apiserver.count("unknown", "unreadable") == 1


async def test_a_question_is_bounded(apiserver: Asking) -> None:
    large = workflow(GOOD)
    large["metadata"]["annotations"] = {"a": "x" * 7_000_000}
    assert (await apiserver.ask(large))["allowed"]
    large["metadata"]["annotations"] = {"a": "x" * 9_000_000}
    async with apiserver.session.post(apiserver.url, data=body_of(review(large))) as got:
        assert got.status == 413
