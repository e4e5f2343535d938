"""`fairlead doctor`: what it finds, what it packs, and that nothing of what users have put in gets out."""

from __future__ import annotations

import asyncio
import json
import stat
import tarfile
import threading
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import pytest
from aiohttp import web
from typer.testing import CliRunner, Result

from fairlead import __version__
from fairlead.api import crd, labels
from fairlead.cli.bundle.findings import findings
from fairlead.cli.bundle.packing import ROOT
from fairlead.cli.bundle.reading import Gathered, OperatorPod
from fairlead.cli.bundle.redaction import Redactor
from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.main import app
from fairlead.kube.resources import PODS, WORKFLOWS

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
CANARY = "canary-7f3a"
CRDS = list(crd.crds())


def ago(minutes: float) -> str:
    return (NOW - timedelta(minutes=minutes)).isoformat().replace("+00:00", "Z")


def meta(name: str, namespace: str = "data", **more: Any) -> dict[str, Any]:
    return {"name": name, "namespace": namespace, "uid": f"uid-{name}", "creationTimestamp": ago(60), **more}


def canary(number: int) -> str:
    return f"{CANARY}-{number:02}"


#: A run in which every place that takes a value of a user has one.
SECRETIVE: dict[str, Any] = {
    "metadata": meta(
        "daily",
        generation=1,
        annotations={"kubectl.kubernetes.io/last-applied-configuration": canary(1), "team": canary(2)},
        managedFields=[{"manager": "kubectl", "time": ago(60)}],
    ),
    "spec": {
        "params": [{"name": "password", "type": "string", "default": canary(3), "enum": [canary(4)]}],
        "arguments": [{"name": "password", "value": {"name": canary(5)}}],
        "taskDefaults": {"env": [{"name": "DB", "value": canary(6)}]},
        "tasks": [
            {
                "name": "load",
                "when": f"${{params.password == '{canary(7)}'}}",
                "forEach": {"in": [{"name": canary(8)}, 12345678]},
                "container": {"image": "acme/load:1", "command": ["sh", "-c", canary(9)], "args": [canary(10)]},
                "env": [{"name": "TOKEN", "value": canary(11)}],
                "files": [{"path": "a", "value": canary(12)}],
                "outputs": [{"name": "rows", "type": "integer", "default": canary(13)}],
            },
            {"name": "script", "script": {"source": canary(14)}},
            {
                "name": "call",
                "http": {
                    "url": f"https://u:{canary(15)}@host/{canary(16)}",
                    "headers": [{"name": "Authorization", "value": canary(17)}],
                    "body": canary(18),
                },
            },
            {
                "name": "spark",
                "resource": {
                    "preset": "SparkApplication",
                    "manifest": {"metadata": {"name": canary(19)}, "spec": {"conf": {canary(20): canary(21)}}},
                },
            },
            {"name": "set", "set": {"values": [{"name": "x", "value": canary(22)}]}},
            {"name": "ask", "approval": {"message": "Publish?", "options": [canary(23)]}},
        ],
    },
    "status": {
        "phase": "Running",
        "observedGeneration": 1,
        "outputs": {"name": canary(24), canary(25): 1},
        "message": f"task load: exit code 3: {canary(26)} was wrong",
        "conditions": [{"type": "Finished", "status": "False", "reason": "Running", "message": f"{canary(11)} failed"}],
        "tasks": [
            {
                "name": "load",
                "phase": "Failed",
                "outputs": {"deep": [{"name": canary(27)}]},
                "attempts": [{"number": 1, "podName": "daily-load-1", "message": f"exit code 3: {canary(28)}"}],
            }
        ],
    },
}

POD: dict[str, Any] = {
    "metadata": meta("daily-load-1", labels={labels.RUN_UID: "uid-daily"}, annotations={"note": canary(29)}),
    "spec": {
        "nodeName": "node-1",
        "containers": [
            {
                "name": "main",
                "image": "acme/load:1",
                "args": [canary(30)],
                "env": [
                    {"name": "TOKEN", "value": canary(31)},
                    {"name": "SAFE", "valueFrom": {"secretKeyRef": {"name": "etl", "key": "token"}}},
                ],
                "livenessProbe": {"exec": {"command": [canary(32)]}},
            }
        ],
    },
    "status": {
        "phase": "Failed",
        "containerStatuses": [
            {"name": "main", "state": {"terminated": {"exitCode": 3, "message": f"{canary(31)} it said"}}}
        ],
    },
}

OPERATOR: dict[str, Any] = {
    "metadata": meta("fairlead-0", "fairlead", labels={"app.kubernetes.io/part-of": "fairlead"}),
    "spec": {
        "containers": [
            {
                "name": "operator",
                "image": "acme/fairlead:1",
                "ports": [{"name": "metrics", "containerPort": 9999}],
                "env": [{"name": "AWS_SECRET_ACCESS_KEY", "value": canary(33)}],
            }
        ]
    },
    "status": {"conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [{"restartCount": 0}]},
}

METRICS = f'fairlead_build_info{{python="3.11",version="{__version__}"}} 1.0\nfairlead_archive_failing_seconds 0.0\n'


class Cluster:
    """An API server that has some objects, logs and pages. `refuses` are plurals that nobody may read."""

    def __init__(self) -> None:
        self.objects: dict[str, list[dict[str, Any]]] = {
            "customresourcedefinitions": deepcopy(CRDS),
            "workflows": [SECRETIVE],
            "pods": [POD],
            "operators": [OPERATOR],
            "events": [
                {
                    "metadata": meta("e1"),
                    "involvedObject": {"uid": "uid-daily", "kind": "Workflow", "name": "daily"},
                    "reason": "TaskFailed",
                    "message": f"load failed: exit code 3: {canary(34)}",
                },
                {"metadata": meta("e2"), "involvedObject": {"uid": "another"}, "message": canary(35)},
            ],
        }
        self.log = f'{{"message": "task load failed: exit code 3: {canary(36)}"}}\nDB password={canary(37)}\n'
        self.log += f"found {canary(6)} in a variable\nAuthorization: Bearer {canary(38)}\nready\n"
        self.refuses: set[str] = set()
        self.paths: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    async def _answer(self, request: web.Request) -> web.Response:
        self.paths.append(request.path)
        if request.method != "GET":
            return web.Response(status=500)
        if request.path == "/version":
            return web.json_response({"gitVersion": "v1.34.3"})
        if request.path.endswith("/log"):
            return web.Response(text=self.log)
        if "/proxy/" in request.path:
            assert ":9999/" in request.path
            return web.Response(text=METRICS if request.path.endswith("metrics") else "ok")
        parts = request.path.split("/")
        plural = next((part for part in parts if part in self.refuses), "")
        if plural:
            body = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": f"no {plural} for you"}
            return web.json_response(body, status=403)
        if parts[-2] == "customresourcedefinitions":
            found = [each for each in self.objects[parts[-2]] if each["metadata"]["name"] == parts[-1]]
            return web.json_response(found[0]) if found else web.json_response({"kind": "Status"}, status=404)
        plural = parts[-1]
        if plural == "pods" and "component=operator" in request.query.get("labelSelector", ""):
            plural = "operators"
        items = self.objects.get(plural, [])
        if "namespaces" in parts:
            namespace = parts[parts.index("namespaces") + 1]
            items = [each for each in items if each["metadata"]["namespace"] == namespace]
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": items})

    async def _start(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr("fairlead.cli.diagnosis.utc_now", lambda: NOW)
    with Cluster() as found:
        yield found


@pytest.fixture
def doctor(cluster: Cluster, tmp_path: Path) -> Any:
    kubeconfig = tmp_path / "kubeconfig"
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [context],
        "clusters": [{"name": "c", "cluster": {"server": cluster.url}}],
        "users": [{"name": "u", "user": {"token": canary(39)}}],
    }
    kubeconfig.write_text(json.dumps(document))

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["doctor", *arguments, "--kubeconfig", str(kubeconfig)])

    return invoke


def unpacked(path: Path) -> dict[str, str]:
    with tarfile.open(path) as tar:
        return {
            member.name.removeprefix(f"{ROOT}/"): tar.extractfile(member).read().decode()  # type: ignore[union-attr]
            for member in tar.getmembers()
        }


class TestBundle:
    def test_nothing_that_users_have_put_in_gets_out(self, doctor: Any, tmp_path: Path) -> None:
        result = doctor("--bundle", str(tmp_path / "b.tar.gz"))
        files = unpacked(tmp_path / "b.tar.gz")
        leaks = {name: line for name, text in files.items() for line in text.splitlines() if CANARY in line}
        assert leaks == {}
        assert "12345678" not in "".join(files.values())
        assert CANARY not in result.output

    def test_what_helps_is_there(self, doctor: Any, tmp_path: Path) -> None:
        result = doctor("--bundle", str(tmp_path / "b.tar.gz"))
        assert result.exit_code == ExitCode.OK, result.output
        files = unpacked(tmp_path / "b.tar.gz")
        assert {
            *("README.txt", "findings.txt", "problems.txt", "versions.json"),
            *("operator/pods.json", "operator/logs/fairlead-0.txt", "operator/metrics/fairlead-0.txt"),
            *("namespaces/data/workflows.json", "namespaces/data/pods.json", "namespaces/data/events.json"),
            "crds/workflows.fairlead.dev.json",
        } <= files.keys()
        (run,) = json.loads(files["namespaces/data/workflows.json"])
        assert [
            (task["name"], next(iter(task.keys() - {"name", "when", "forEach", "env", "files", "outputs"})))
            for task in run["spec"]["tasks"]
        ][:2] == [("load", "container"), ("script", "script")]
        assert run["spec"]["tasks"][0]["container"]["image"] == "acme/load:1"
        assert run["spec"]["tasks"][0]["env"][0]["name"] == "TOKEN"
        assert run["status"]["tasks"][0]["attempts"][0]["message"] == "exit code 3: «redacted»"
        (pod,) = json.loads(files["namespaces/data/pods.json"])
        assert pod["spec"]["nodeName"] == "node-1"
        assert pod["spec"]["containers"][0]["env"][1]["valueFrom"]["secretKeyRef"] == {"name": "etl", "key": "token"}
        assert "ready" in files["operator/logs/fairlead-0.txt"]
        assert json.loads(files["versions.json"])["apiServer"] == "v1.34.3"
        assert len(json.loads(files["namespaces/data/events.json"])) == 1

    def test_nobody_else_can_read_it(self, doctor: Any, tmp_path: Path) -> None:
        doctor("--bundle", str(tmp_path / "b.tar.gz"))
        assert stat.S_IMODE((tmp_path / "b.tar.gz").stat().st_mode) == 0o600
        assert [each.name for each in tmp_path.iterdir() if ".part" in each.name] == []

    def test_no_secret_and_no_configmap_is_asked_for(self, cluster: Cluster, doctor: Any, tmp_path: Path) -> None:
        doctor("--bundle", str(tmp_path / "b.tar.gz"))
        assert not [path for path in cluster.paths if "secrets" in path or "configmaps" in path]

    def test_one_namespace_may_be_asked_for(self, cluster: Cluster, doctor: Any, tmp_path: Path) -> None:
        doctor("--bundle", str(tmp_path / "b.tar.gz"), "-n", "other")
        assert not [name for name in unpacked(tmp_path / "b.tar.gz") if name.startswith("namespaces/data")]

    def test_what_may_not_be_read_is_named(self, cluster: Cluster, doctor: Any, tmp_path: Path) -> None:
        cluster.refuses = {"taskstatusshards", "customresourcedefinitions"}
        result = doctor("--bundle", str(tmp_path / "b.tar.gz"))
        assert "no taskstatusshards for you" in unpacked(tmp_path / "b.tar.gz")["problems.txt"]
        assert "not read: taskstatusshards" in result.stderr
        assert "is not there" not in result.stdout

    def test_a_file_that_cannot_be_written(self, doctor: Any, tmp_path: Path) -> None:
        result = doctor("--bundle", str(tmp_path / "none" / "b.tar.gz"))
        assert isinstance(result.exception, CliError)
        assert result.exception.code is ExitCode.USAGE

    def test_a_cluster_that_is_away(self, tmp_path: Path, doctor: Any, cluster: Cluster) -> None:
        text = (tmp_path / "kubeconfig").read_text().replace(cluster.url, "http://127.0.0.1:1")
        (tmp_path / "kubeconfig").write_text(text)
        result = doctor()
        assert isinstance(result.exception, CliError)
        assert result.exception.code is ExitCode.UNREACHABLE


# -- what it finds


def gathered(**more: Any) -> Gathered:
    """An installation in which all is well."""
    operators = [OperatorPod(OPERATOR, metrics=METRICS)]
    return Gathered(**{"crds": deepcopy(CRDS), "operators": operators, **more})


def run(name: str = "daily", minutes: float = 60, status: Any = None, **metadata: Any) -> dict[str, Any]:
    created = {"creationTimestamp": ago(minutes), "generation": 1}
    return {"metadata": meta(name, **(created | metadata)), "status": status or {}}


def metrics(line: str) -> Gathered:
    return gathered(operators=[OperatorPod(OPERATOR, metrics=METRICS + line + "\n")])


def operator(**status: Any) -> Gathered:
    return gathered(operators=[OperatorPod({**OPERATOR, "status": {**OPERATOR["status"], **status}}, ready="start: x")])


def without_field() -> Gathered:
    found = gathered()
    del found.crds[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]["tasks"]
    return found


def with_field() -> Gathered:
    found = gathered()
    fields = found.crds[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    fields["brandNew"] = {"type": "string"}
    return found


STALLED = {"conditions": [{"type": "Stalled", "status": "True", "reason": "ShardMissing", "message": "gone"}]}


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (gathered(), None),
        (gathered(crds=[]), "is not there"),
        (without_field(), "lacks fields"),
        (with_field(), "of a newer release"),
        (gathered(operators=[]), "no pod of an operator"),
        (gathered(operators=[], installed={"deployments": [{}]}), "though it is installed"),
        (operator(conditions=[{"type": "Ready", "status": "False"}]), "is not ready: start: x"),
        (
            operator(
                containerStatuses=[
                    {"restartCount": 3, "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}
                ]
            ),
            "restarted 3 times, last because of OOMKilled",
        ),
        (
            gathered(operators=[OperatorPod(OPERATOR, metrics='fairlead_build_info{version="0.0.9"} 1.0\n')]),
            "of version 0.0.9",
        ),
        (metrics("fairlead_archive_failing_seconds 77.0").operators and metrics(""), None),
        (
            gathered(operators=[OperatorPod(OPERATOR, metrics="fairlead_archive_failing_seconds 77.0\n")]),
            "write its archive for 77 s",
        ),
        (metrics('fairlead_cache_staleness_seconds{resource="pods"} 300.0'), "not heard of pods for 300 s"),
        (metrics('fairlead_cache_staleness_seconds{resource="pods"} 3.0'), None),
        (
            metrics('fairlead_reconcile_errors_total{controller="workflow",family="bug"} 2.0'),
            "2 errors of its own",
        ),
        (gathered(objects={WORKFLOWS: [run(status=STALLED)]}), "data/daily is stalled (ShardMissing): gone"),
        (gathered(objects={WORKFLOWS: [run()]}), "was seen by no operator"),
        (gathered(objects={WORKFLOWS: [run(minutes=1)]}), None),
        (
            gathered(
                objects={
                    WORKFLOWS: [run(status={"observedGeneration": 1}, generation=2, managedFields=[{"time": ago(10)}])]
                }
            ),
            "was edited",
        ),
        (
            gathered(
                objects={
                    WORKFLOWS: [
                        run(
                            status={
                                **STALLED,
                                "conditions": [*STALLED["conditions"], {"type": "Finished", "status": "True"}],
                            }
                        )
                    ]
                }
            ),
            None,
        ),
        (
            gathered(
                objects={PODS: [{"metadata": meta("p", deletionTimestamp=ago(10), finalizers=[labels.FINALIZER])}]}
            ),
            "held by our finalizer",
        ),
        (
            gathered(
                objects={PODS: [{"metadata": meta("p", deletionTimestamp=ago(1), finalizers=[labels.FINALIZER])}]}
            ),
            None,
        ),
    ],
)
def test_what_seems_wrong_is_said(found: Gathered, words: str | None) -> None:
    told = findings(found, NOW)
    if words is None:
        assert told == []
    else:
        assert [each for each in told if words in each], told


def test_of_many_alike_some_are_named() -> None:
    found = gathered(objects={WORKFLOWS: [run(f"r{number}", status=STALLED) for number in range(30)]})
    told = findings(found, NOW)
    assert (len(told), told[-1]) == (11, "… and 20 more like these")


def test_findings_are_the_exit_code(cluster: Cluster, doctor: Any) -> None:
    assert doctor().exit_code == ExitCode.OK
    cluster.objects["operators"] = []
    result = doctor()
    assert (result.exit_code, result.stdout) == (ExitCode.FAILED, "no pod of an operator was found\n")


# -- what is cut out of texts


@pytest.mark.parametrize(
    "secret",
    [
        "password=hunter2",
        "DB_PASSWORD: 'hunter2 and more'",
        '"apiKey": "hunter2"',
        "https://ann:hunter2@host/x",
        "Bearer hunter2hunter2",
        "eyJhbGciOi.hunter2hunter2.hunter2hunter2",
        "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
        "AKIAHUNTER2HUNTER2",
        "x-auth-token: hunter2",
    ],
)
def test_what_looks_like_a_credential_is_cut_out(secret: str) -> None:
    told = Redactor().text(f"before {secret} after")
    assert "hunter2" not in told.lower()
    assert told.startswith("before")


@pytest.mark.parametrize("text", ["task load failed: exit code 3", "waiting for 3 tokens", "the secret etl is missing"])
def test_what_does_not_stays(text: str) -> None:
    assert Redactor().text(text) == text


def test_what_a_container_has_printed_last_is_cut_out_wherever_it_is_told() -> None:
    end = {"exitCode": 1, "reason": "Error", "message": f"{CANARY}-printed\n", "finishedAt": ago(1)}
    state = {"state": {"terminated": end}, "lastState": {"terminated": end}}
    pod = {"status": {"containerStatuses": [{"name": "main", **state}], "message": f"it said {CANARY}-printed"}}
    redactor = Redactor()
    redactor.remember(pod)
    kept = redactor.object(pod)
    assert CANARY not in json.dumps(kept)
    ended = kept["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"], ended["finishedAt"]) == (1, "Error", ago(1))
