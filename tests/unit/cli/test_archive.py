"""`fairlead archive` and `fairlead logs`: runs that are gone, and what their pods have printed."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.cli.apiserver import FakeApiServer
from typer.testing import CliRunner, Result

from fairlead.archive.logs import LogKey, pack_log
from fairlead.archive.objects import open_archive
from fairlead.archive.record import RunKey, pack
from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.main import app

TASKS: list[dict[str, Any]] = [
    {"name": "a", "container": {"image": "x"}},
    {"name": "b", "needs": ["a"], "container": {"image": "x"}},
]


def entry(name: str, phase: str = "Succeeded", attempts: int = 1) -> dict[str, Any]:
    tries = [{"number": number, "podName": f"demo-{name}-{number}"} for number in range(1, attempts + 1)]
    return {"name": name, "phase": phase, "attempts": tries}


def status(*tasks: dict[str, Any], phase: str = "Succeeded") -> dict[str, Any]:
    verdict = "True" if phase == "Succeeded" else "False"
    return {
        "phase": phase,
        "startTime": "2026-11-22T08:00:00Z",
        "completionTime": "2026-11-22T08:01:00Z",
        "conditions": [{"type": "Succeeded", "status": verdict}, {"type": "Finished", "status": "True"}],
        "tasks": list(tasks),
    }


class Shelf:
    """An archive in a directory."""

    def __init__(self, folder: Path) -> None:
        self.url = f"file://{folder}"
        self._store = open_archive(self.url)

    def put_run(self, name: str, day: int = 22, phase: str = "Succeeded", uid: str = "u1", **more: Any) -> None:
        tasks = [entry("a"), entry("b", "Succeeded" if phase == "Succeeded" else "Failed", 2)]
        namespace = more.pop("namespace", "data")
        metadata = {"name": name, "namespace": namespace, "uid": uid}
        workflow = {"metadata": metadata, "spec": {"tasks": TASKS}, "status": status(phase=phase)} | more
        finished_at = datetime(2026, 11, day, 8, 1, tzinfo=UTC)
        key = RunKey(namespace=namespace, name=name, uid=uid, finished_at=finished_at, phase=phase)
        definition = more.get("definition")
        self._put(key.path, pack(workflow, tasks, definition=definition))

    def put_log(self, pod: str, text: str, *, of: str = "", part: bool = False) -> None:
        key = LogKey(namespace="data", run="demo", uid="u1", object_name=of or pod, pod=pod, part=part)
        self._put(key.path, pack_log(text.encode()))

    def _put(self, path: str, content: bytes) -> None:
        asyncio.run(self._store.put(path, content))


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    (tmp_path / "archive").mkdir()
    return Shelf(tmp_path / "archive")


def archive(shelf: Shelf, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["archive", *arguments, "--archive", shelf.url])


def refused(result: Result) -> CliError:
    assert isinstance(result.exception, CliError), result.output
    return result.exception


class TestList:
    def test_the_latest_come_first(self, shelf: Shelf) -> None:
        shelf.put_run("old", 20)
        shelf.put_run("new", 22, "Failed", namespace="web")
        shelf.put_run("mid", 21)
        lines = [line.split()[:3] for line in archive(shelf, "list").stdout.splitlines()]
        assert lines == [
            ["NAMESPACE", "NAME", "PHASE"],
            ["web", "new", "Failed"],
            ["data", "mid", "Succeeded"],
            ["data", "old", "Succeeded"],
        ]

    @pytest.mark.parametrize(
        ("options", "names"),
        [
            (["-n", "data"], ["good", "bad"]),
            (["--failed"], ["bad"]),
            (["--since", "2026-11-22"], ["elsewhere"]),
            (["--name", "bad"], ["bad"]),
            (["-n", "data", "--limit", "1"], ["good"]),
        ],
    )
    def test_they_can_be_narrowed_down(self, shelf: Shelf, options: list[str], names: list[str]) -> None:
        shelf.put_run("bad", 20, "Failed")
        shelf.put_run("good", 21)
        shelf.put_run("elsewhere", 22, namespace="web")
        found = json.loads(archive(shelf, "list", *options, "-o", "json").stdout)
        assert [each["name"] for each in found] == names

    def test_what_is_left_out_is_told(self, shelf: Shelf) -> None:
        for day in (20, 21, 22):
            shelf.put_run(f"run-{day}", day)
        assert "earlier ones are left out" in archive(shelf, "list", "--limit", "2").stderr

    def test_an_empty_archive_says_so(self, shelf: Shelf) -> None:
        result = archive(shelf, "list")
        assert (result.exit_code, result.stdout) == (ExitCode.OK, "")
        assert "the archive has none" in result.stderr

    def test_one_that_is_not_there_is_out_of_reach(self, tmp_path: Path) -> None:
        result = CliRunner().invoke(app, ["archive", "list", "--archive", f"file://{tmp_path}/nowhere"])
        assert refused(result).code is ExitCode.UNREACHABLE

    def test_without_an_archive_it_says_how_to_name_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("FAIRLEAD_ARCHIVE", raising=False)
        error = refused(CliRunner().invoke(app, ["archive", "list"]))
        assert "$FAIRLEAD_ARCHIVE" in error.hint

    def test_the_environment_may_name_it(self, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FAIRLEAD_ARCHIVE", shelf.url)
        shelf.put_run("demo")
        assert "demo" in CliRunner().invoke(app, ["archive", "list"]).stdout


class TestGet:
    def test_it_is_drawn_like_one_on_a_cluster(self, shelf: Shelf) -> None:
        shelf.put_run("demo", phase="Failed")
        lines = archive(shelf, "get", "demo").stdout.splitlines()
        assert "demo" in lines[0]
        assert [line.split()[:2] for line in lines[1:3]] == [["✔", "a"], ["✘", "b"]]

    def test_as_yaml_it_is_the_workflow_with_its_tasks(self, shelf: Shelf) -> None:
        shelf.put_run("demo")
        found = yaml.safe_load(archive(shelf, "get", "demo", "-o", "yaml").stdout)
        assert found["kind"] == "Workflow"
        assert [each["name"] for each in found["status"]["tasks"]] == ["a", "b"]

    def test_one_of_a_template_has_what_it_ran(self, shelf: Shelf) -> None:
        shelf.put_run("demo", spec={"templateRef": {"name": "etl"}}, definition={"tasks": TASKS})
        found = json.loads(archive(shelf, "get", "demo", "-o", "json").stdout)
        assert found["spec"] == {"tasks": TASKS}

    @pytest.mark.parametrize(
        ("options", "uid"), [([], "u2"), (["--uid", "u1"], "u1"), (["-n", "data"], "u2"), (["-n", "web"], "u3")]
    )
    def test_of_several_the_latest_counts(self, shelf: Shelf, options: list[str], uid: str) -> None:
        shelf.put_run("demo", 20, uid="u1")
        shelf.put_run("demo", 22, uid="u2")
        shelf.put_run("demo", 21, uid="u3", namespace="web")
        found = json.loads(archive(shelf, "get", "demo", "-o", "json", *options).stdout)
        assert found["metadata"]["uid"] == uid

    def test_one_that_is_not_there(self, shelf: Shelf) -> None:
        error = refused(archive(shelf, "get", "demo", "-n", "data"))
        assert (error.code, error.message) == (ExitCode.USAGE, "the archive has no run 'demo' of namespace 'data'")


class TestPrune:
    @pytest.fixture
    def old(self, shelf: Shelf, tmp_path: Path) -> Shelf:
        shelf.put_run("old")
        shelf.put_log("demo-a-1", "hello")
        for path in (tmp_path / "archive").rglob("*.gz"):
            os.utime(path, (1_000_000_000, 1_000_000_000))
        shelf.put_run("new")
        return shelf

    def test_what_is_old_is_deleted(self, old: Shelf) -> None:
        assert archive(old, "prune", "--older-than-days", "30").stdout.startswith("2 objects of ")
        assert [each["name"] for each in json.loads(archive(old, "list", "-o", "json").stdout)] == ["new"]

    def test_records_may_be_spared(self, old: Shelf) -> None:
        archive(old, "prune", "--older-than-days", "30", "--logs-only")
        assert len(json.loads(archive(old, "list", "-o", "json").stdout)) == 2

    def test_it_may_be_tried(self, old: Shelf) -> None:
        for _ in range(2):
            assert "2 objects" in archive(old, "prune", "--older-than-days", "30", "--dry-run").stdout


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as made:
        yield made


class TestLogs:
    @pytest.fixture
    def logs(self, server: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.delenv("FAIRLEAD_ARCHIVE", raising=False)
        kubeconfig = server.kubeconfig(tmp_path)

        def invoke(*arguments: str) -> Result:
            return CliRunner().invoke(app, ["logs", *arguments, "--kubeconfig", str(kubeconfig)])

        return invoke

    @pytest.fixture
    def demo(self, server: FakeApiServer) -> FakeApiServer:
        server.add("demo", status(entry("a"), entry("b", "Failed", attempts=2), phase="Failed"), TASKS)
        server.logs |= {"demo-a-1": "one\ntwo\n", "demo-b-1": "first\n", "demo-b-2": "second"}
        return server

    def test_all_tasks_each_under_its_name(self, demo: FakeApiServer, logs: Any) -> None:
        result = logs("demo")
        assert result.stdout == "==> a (demo-a-1) <==\none\ntwo\n==> b, attempt 2 (demo-b-2) <==\nsecond\n"
        assert result.exit_code == ExitCode.OK

    @pytest.mark.parametrize(
        ("arguments", "printed"),
        [
            (("a",), "one\ntwo\n"),
            (("a", "--tail", "1"), "two\n"),
            (("a", "--tail", "0"), ""),
            (("b",), "second\n"),
            (("b", "--attempt", "1"), "first\n"),
            (("--failed",), "second\n"),
        ],
    )
    def test_what_was_asked_for_and_nothing_else(
        self, demo: FakeApiServer, logs: Any, arguments: tuple[str, ...], printed: str
    ) -> None:
        assert logs("demo", *arguments).stdout == printed

    def test_a_task_has_those_of_its_items(self, server: FakeApiServer, logs: Any) -> None:
        items = [entry("load[0]"), entry("load[1]")]
        server.add("demo", status({"name": "load", "phase": "Succeeded"}, *items), TASKS)
        server.logs |= {"demo-load[0]-1": "zero\n", "demo-load[1]-1": "one\n"}
        assert [line for line in logs("demo", "load").stdout.splitlines() if not line.startswith("==>")] == [
            "zero",
            "one",
        ]
        assert logs("demo", "load[1]").stdout == "one\n"

    def test_a_job_has_those_of_its_pods(self, demo: FakeApiServer, logs: Any) -> None:
        demo.logs |= {"demo-a-1-x": "from x\n", "demo-a-1-y": "from y\n"}
        del demo.logs["demo-a-1"]
        demo.job_pods["demo-a-1"] = ["demo-a-1-x", "demo-a-1-y"]
        assert logs("demo", "a").stdout == "==> a (demo-a-1-x) <==\nfrom x\n==> a (demo-a-1-y) <==\nfrom y\n"

    def test_when_its_pod_is_gone_the_archive_has_it(self, demo: FakeApiServer, logs: Any, shelf: Shelf) -> None:
        demo.logs.clear()
        shelf.put_log("demo-a-1", "one\ntwo\n")
        result = logs("demo", "a", "--tail", "1", "--archive", shelf.url)
        assert (result.stdout, result.exit_code) == ("two\n", ExitCode.OK)
        assert "demo-a-1: kept" in result.stderr

    def test_of_one_that_had_to_go_there_is_what_was_kept_then(
        self, demo: FakeApiServer, logs: Any, shelf: Shelf
    ) -> None:
        demo.logs.clear()
        shelf.put_log("demo-a-1", "half\n", part=True)
        result = logs("demo", "a", "--archive", shelf.url)
        assert result.stdout == "half\n"
        assert "there may have been more" in result.stderr
        shelf.put_log("demo-a-1", "half\nand half\n")
        assert logs("demo", "a", "--archive", shelf.url).stdout == "half\nand half\n"

    def test_a_run_that_is_gone_is_looked_for_in_the_archive(
        self, server: FakeApiServer, logs: Any, shelf: Shelf
    ) -> None:
        shelf.put_run("demo")
        shelf.put_log("demo-a-1", "one\n")
        assert logs("demo", "a", "--archive", shelf.url).stdout == "one\n"

    def test_without_a_cluster_as_well(self, shelf: Shelf, tmp_path: Path) -> None:
        shelf.put_run("demo")
        shelf.put_log("demo-a-1", "one\n")
        nowhere = ["--kubeconfig", str(tmp_path / "none")]
        result = CliRunner().invoke(app, ["logs", "demo", "a", "--archive", shelf.url, *nowhere])
        assert result.stdout == "one\n"

    def test_while_they_cannot_be_asked_for_the_archive_has_what_was_kept(
        self, demo: FakeApiServer, logs: Any, shelf: Shelf
    ) -> None:
        demo.refusal = (503, "ServiceUnavailable", "the server is overloaded")
        shelf.put_log("demo-a-1", "one\ntwo\n")
        result = logs("demo", "a", "--archive", shelf.url)
        assert (result.stdout, result.exit_code) == ("one\ntwo\n", ExitCode.OK)
        assert "demo-a-1: kept" in result.stderr

    @pytest.mark.parametrize("archived", [False, True])
    def test_if_nothing_was_kept_it_says_that_they_cannot_be_asked_for(
        self, demo: FakeApiServer, logs: Any, shelf: Shelf, archived: bool
    ) -> None:
        demo.refusal = (503, "ServiceUnavailable", "the server is overloaded")
        shelf.put_run("demo")
        error = refused(logs("demo", "a", *(("--archive", shelf.url) if archived else ())))
        assert error.code == ExitCode.UNREACHABLE
        assert "the server is overloaded" in error.message

    def test_if_the_user_may_not_see_them_the_archive_does_not_show_them(
        self, demo: FakeApiServer, logs: Any, shelf: Shelf
    ) -> None:
        demo.refusal = (403, "Forbidden", 'User "ann" cannot get resource "pods/log"')
        shelf.put_log("demo-a-1", "one\ntwo\n")
        error = refused(logs("demo", "a", "--archive", shelf.url))
        assert (error.code, error.message) == (ExitCode.FAILED, f"not allowed: {demo.refusal[2]}")

    def test_where_none_is_to_be_had_it_says_what_would_help(self, demo: FakeApiServer, logs: Any) -> None:
        demo.logs.clear()
        result = logs("demo", "a")
        assert result.exit_code == ExitCode.FAILED
        assert "its pod demo-a-1 is gone or has not run" in result.stderr
        assert "--archive URL" in result.stderr

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("demo", "aa"), "demo has no task 'aa'; did you mean 'a'?"),
            (("demo", "a", "--attempt", "7"), "there is no attempt 7 of a"),
            (("dmo",), "there is no Workflow 'dmo' in namespace 'data'; did you mean 'demo'?"),
        ],
    )
    def test_what_is_not_there(self, demo: FakeApiServer, logs: Any, arguments: tuple[str, ...], words: str) -> None:
        error = refused(logs(*arguments))
        assert (error.code, error.message) == (ExitCode.USAGE, words)

    def test_a_task_that_has_not_begun_has_none(self, server: FakeApiServer, logs: Any) -> None:
        server.add("demo", status(entry("a"), {"name": "b", "phase": "Waiting"}), TASKS)
        result = logs("demo", "b")
        assert (result.exit_code, result.stdout) == (ExitCode.OK, "")
