"""`fairlead tree` against an API server that is no cluster but answers like one."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.apiserver import FakeApiServer, workflow
from typer.testing import CliRunner, Result

from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.main import app

COMMAND = {"image": "x", "command": ["true"]}
TASKS: list[dict[str, Any]] = [
    {"name": "a", "container": COMMAND},
    {"name": "b", "needs": ["a"], "container": COMMAND},
]


def status(a: str, b: str, verdict: str = "Unknown") -> dict[str, Any]:
    finished = verdict != "Unknown"
    return {
        "phase": {"True": "Succeeded", "False": "Failed"}.get(verdict, "Running"),
        "startTime": "2026-01-01T00:00:00Z",
        "conditions": [
            {"type": "Succeeded", "status": verdict},
            {"type": "Finished", "status": "True" if finished else "False"},
        ],
        "tasks": [{"name": "a", "phase": a}, {"name": "b", "phase": b}],
    }


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as made:
        yield made


@pytest.fixture
def tree(server: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("fairlead.cli.cluster._RETRY_SECONDS", 0.01)
    kubeconfig = server.kubeconfig(tmp_path)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["tree", *arguments, "--kubeconfig", str(kubeconfig)])

    return invoke


def test_draws_a_run_as_its_status_tells_it(server: FakeApiServer, tree: Any) -> None:
    server.add("demo", status("Succeeded", "Running"), TASKS)
    result = tree("demo")
    assert result.exit_code == ExitCode.OK
    assert [line.split() for line in result.stdout.splitlines()][1:] == [["✔", "a"], ["●", "b"]]
    assert server.seen == ["/apis/fairlead.dev/v1alpha1/namespaces/data/workflows/demo"]


def test_another_namespace_may_be_named(server: FakeApiServer, tree: Any) -> None:
    server.add("demo", status("Succeeded", "Running"), TASKS)
    tree("demo", "-n", "other")
    assert "/namespaces/other/" in server.seen[0]


def test_json_is_the_status_and_nothing_else(server: FakeApiServer, tree: Any) -> None:
    server.add("demo", status("Succeeded", "Running"), TASKS)
    assert json.loads(tree("demo", "-o", "json").stdout) == status("Succeeded", "Running")


@pytest.mark.parametrize(("options", "code"), [((), ExitCode.OK), (("-E",), ExitCode.FAILED)])
def test_the_outcome_is_the_exit_code_only_where_that_is_wanted(
    server: FakeApiServer, tree: Any, options: tuple[str, ...], code: int
) -> None:
    server.add("demo", status("Failed", "UpstreamFailed", "False"), TASKS)
    assert tree("demo", *options).exit_code == code


def test_a_name_that_is_not_there_is_answered_with_those_that_are(server: FakeApiServer, tree: Any) -> None:
    server.add("nightly", None, TASKS)
    result = tree("nihgtly")
    assert isinstance(result.exception, CliError)
    assert result.exception.code == ExitCode.USAGE
    assert result.exception.message == "there is no Workflow 'nihgtly' in namespace 'data'; did you mean 'nightly'?"
    assert result.exception.hint == "there are: nightly"


def test_a_cluster_without_fairlead_says_what_to_install(server: FakeApiServer, tree: Any) -> None:
    server.served = False
    assert "kubectl apply -f crds/" in tree("demo").exception.hint


def test_a_server_that_does_not_answer_is_told_apart_from_everything_else(tmp_path: Path) -> None:
    with FakeApiServer() as gone:
        kubeconfig = gone.kubeconfig(tmp_path)
    result = CliRunner().invoke(app, ["tree", "demo", "--kubeconfig", str(kubeconfig)])
    assert isinstance(result.exception, CliError)
    assert result.exception.code == ExitCode.UNREACHABLE
    assert gone.url in result.exception.message


def test_without_a_kubeconfig_it_says_so_and_what_else_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    result = CliRunner().invoke(app, ["tree", "demo"])
    assert isinstance(result.exception, CliError)
    assert result.exception.code == ExitCode.UNREACHABLE
    assert "$KUBECONFIG is not set" in result.exception.message
    assert "fairlead run FILE --local" in result.exception.hint


def test_watching_follows_the_run_to_its_end(server: FakeApiServer, tree: Any) -> None:
    server.add("demo", status("Running", "Waiting"), TASKS)
    server.watches = [
        [
            {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "2"}}},
            {"type": "MODIFIED", "object": workflow("demo", status("Succeeded", "Running"), TASKS, "3")},
            {"type": "MODIFIED", "object": workflow("demo", status("Succeeded", "Succeeded", "True"), TASKS, "4")},
        ]
    ]
    result = tree("demo", "--watch", "-E")
    assert result.exit_code == ExitCode.OK
    assert [line.split() for line in result.stdout.splitlines()][1:] == [["✔", "a"], ["✔", "b"]]
    assert [line.split("  ")[1] for line in result.stderr.splitlines()] == [
        "a: started",
        "a: succeeded",
        "b: started",
        "b: succeeded",
    ]


def test_a_watch_that_the_server_ends_is_taken_up_again(server: FakeApiServer, tree: Any) -> None:
    server.add("demo", status("Running", "Waiting"), TASKS)
    server.watches = [
        [],
        [{"type": "MODIFIED", "object": workflow("demo", status("Succeeded", "Running"), TASKS, "3")}],
        [{"type": "ERROR", "object": {"kind": "Status", "code": 410, "message": "too old"}}],
        [{"type": "MODIFIED", "object": workflow("demo", status("Succeeded", "Failed", "False"), TASKS, "4")}],
    ]
    assert tree("demo", "--watch", "-E").exit_code == ExitCode.FAILED
    assert [seen.split()[2] for seen in server.seen if seen.startswith("watch")] == ["1", "1", "3", "3"]
    assert "metadata.name=demo" in server.seen[1]


def test_a_run_that_is_deleted_while_it_is_watched_is_a_failure(server: FakeApiServer, tree: Any) -> None:
    made = server.add("demo", status("Running", "Waiting"), TASKS)
    server.watches = [[{"type": "DELETED", "object": made}]]
    result = tree("demo", "--watch")
    assert isinstance(result.exception, CliError)
    assert result.exception.code == ExitCode.FAILED
    assert "was deleted while it ran" in result.exception.message


def test_another_run_by_the_same_name_is_not_mistaken_for_it(server: FakeApiServer, tree: Any) -> None:
    server.add("demo", status("Running", "Waiting"), TASKS)
    another = workflow("demo", status("Succeeded", "Succeeded", "True"), TASKS, "9", uid="u2")
    server.watches = [[lambda: server.workflows.update(demo=another)]]
    result = tree("demo", "--watch")
    assert isinstance(result.exception, CliError)
    assert "was deleted while it ran" in result.exception.message


def test_ctrl_c_leaves_the_run_alone_and_says_so(server: FakeApiServer, tree: Any) -> None:
    server.add("demo", status("Running", "Waiting"), TASKS)
    watcher = threading.get_ident()
    server.watches = [[lambda: signal.pthread_kill(watcher, signal.SIGINT)], *([] for _ in range(1000))]
    result = tree("demo", "--watch")
    assert result.exit_code == ExitCode.INTERRUPTED
    assert "the run goes on" in result.stderr


# -- large runs, whose tasks are in objects of their own


def sharded(verdict: str = "Unknown") -> dict[str, Any]:
    made = status("", "", verdict) | {"shards": {"count": 1}}
    del made["tasks"]
    return made


def test_tasks_of_a_large_run_are_read_from_its_shards(server: FakeApiServer, tree: Any) -> None:
    server.add("demo", sharded(), [*TASKS, {"name": "c", "needs": ["b"], "container": COMMAND}])
    server.shard(0, ("b", "Running"))
    server.shard(1, ("a", "Succeeded"))
    result = tree("demo")
    assert result.exit_code == ExitCode.OK
    assert [line.split()[:2] for line in result.stdout.splitlines()][1:] == [["✔", "a"], ["●", "b"], ["·", "c"]]
    shown = json.loads(tree("demo", "-o", "json").stdout)
    assert [task["name"] for task in shown["tasks"]] == ["b", "a"]


def test_watching_a_large_run_looks_at_its_tasks_again(
    server: FakeApiServer, tree: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fairlead.cli.cluster._TASKS_SECONDS", 0.05)
    server.add("demo", sharded(), TASKS)
    server.shard(0, ("a", "Running"))
    ended = threading.Event()

    def goes_on() -> None:
        server.shard(0, ("a", "Succeeded"), ("b", "Running"))
        ended.wait(0.3)  # the Workflow itself has not changed meanwhile

    def ends() -> None:
        server.shard(0, ("a", "Succeeded"), ("b", "Succeeded"))

    server.watches = [[goes_on, ends, {"type": "MODIFIED", "object": workflow("demo", sharded("True"), TASKS, "4")}]]
    result = tree("demo", "--watch", "-E")
    assert result.exit_code == ExitCode.OK
    assert [line.split("  ")[1] for line in result.stderr.splitlines()][:2] == ["a: started", "a: succeeded"]


def test_whoever_may_not_read_them_is_told(server: FakeApiServer, tree: Any) -> None:
    server.add("demo", sharded(), TASKS)
    server.refusal = (403, "Forbidden", "taskstatusshards is forbidden")
    result = tree("demo")
    assert isinstance(result.exception, CliError)
    assert "taskstatusshards is forbidden" in str(result.exception)
