"""`fairlead retry`, `stop`, `approve` and the like against an API server that is no cluster but answers like one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.cli.apiserver import FakeApiServer, answer, workflow
from typer.testing import CliRunner, Result

from fairlead.api.action import check_action
from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.main import app

FORM = [{"name": "percent", "type": "integer"}, {"name": "note", "type": "string"}]
TASKS: list[dict[str, Any]] = [
    {"name": "load", "container": {"image": "x"}, "outputs": [{"name": "rows", "type": "integer"}]},
    {"name": "sign-off", "needs": ["load"], "approval": {"message": "m", "form": FORM}},
]
CALLBACK = {"name": "ingest", "phase": "Running", "attempts": [{"number": 1, "podName": "daily-ingest-1"}]}


def status(verdict: str = "Unknown", **more: Any) -> dict[str, Any]:
    finished = "False" if verdict == "Unknown" else "True"
    return {
        "phase": {"True": "Succeeded", "False": "Failed"}.get(verdict, "Running"),
        "observedGeneration": 1,
        "conditions": [{"type": "Succeeded", "status": verdict}, {"type": "Finished", "status": finished}],
        "tasks": [{"name": "load", "phase": "Running"}],
        **more,
    }


@pytest.fixture
def server() -> Iterator[FakeApiServer]:
    with FakeApiServer() as made:
        made.add("daily", status(), TASKS)
        made.operator = lambda _: answer("True", message="done as asked")
        yield made


@pytest.fixture
def fairlead(server: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("fairlead.cli.cluster._RETRY_SECONDS", 0.01)
    kubeconfig = server.kubeconfig(tmp_path)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, [*arguments, "--kubeconfig", str(kubeconfig)])

    return invoke


def refused(result: Result) -> CliError:
    assert isinstance(result.exception, CliError), result.exception
    return result.exception


# -- what is asked


def test_a_request_names_the_run_and_who_asks_and_goes_with_the_run(server: FakeApiServer, fairlead: Any) -> None:
    result = fairlead("retry", "daily", "--reason", "the source was late")
    assert (result.exit_code, result.stdout) == (ExitCode.OK, "done as asked\n")
    [action] = server.actions
    assert action["spec"] == {
        "workflowName": "daily",
        "workflowUID": "u1",
        "action": "Retry",
        "reason": "the source was late",
        "requestedBy": {"username": "ann"},
    }
    assert action["metadata"]["name"].startswith("daily-retry-")
    assert action["metadata"]["ownerReferences"] == [
        {"apiVersion": "fairlead.dev/v1alpha1", "kind": "Workflow", "name": "daily", "uid": "u1"}
    ]


ASKED: dict[str, tuple[list[str], dict[str, Any]]] = {
    "retry some": (["retry", "daily", "load", "load[3]"], {"action": "Retry", "tasks": ["load", "load[3]"]}),
    "retry by the latest": (["retry", "daily", "--latest"], {"action": "Retry", "revision": "Latest"}),
    "clear": (["clear", "daily", "load"], {"action": "Clear", "tasks": ["load"]}),
    "mark": (
        ["mark", "daily", "load", "--as", "succeeded", "-v", "rows=3"],
        {"action": "Mark", "tasks": ["load"], "phase": "Succeeded", "values": {"rows": 3}},
    ),
    "mark many": (
        ["mark", "daily", "load", "sign-off", "--as", "Skipped"],
        {"action": "Mark", "tasks": ["load", "sign-off"], "phase": "Skipped"},
    ),
    "stop": (["stop", "daily"], {"action": "Stop", "mode": "Graceful"}),
    "stop at once": (["stop", "daily", "--mode", "terminate"], {"action": "Stop", "mode": "Terminate"}),
    "approve": (["approve", "daily", "sign-off"], {"action": "Approve", "tasks": ["sign-off"]}),
    "approve with values": (
        ["approve", "daily", "sign-off", "--option", "canary", "-v", "percent=10", "-v", "note=10"],
        {"action": "Approve", "tasks": ["sign-off"], "values": {"percent": 10, "note": "10", "option": "canary"}},
    ),
    "reject": (["reject", "daily", "sign-off"], {"action": "Reject", "tasks": ["sign-off"]}),
    "complete": (
        ["complete", "daily", "ingest", "--token", "t", "-v", 'found={"a": [1]}', "-v", "by=ann"],
        {"action": "Complete", "tasks": ["ingest"], "token": "t", "values": {"found": {"a": [1]}, "by": "ann"}},
    ),
    "heartbeat": (
        ["heartbeat", "daily", "ingest", "--token", "t"],
        {"action": "Heartbeat", "tasks": ["ingest"], "token": "t"},
    ),
}


@pytest.mark.parametrize(("arguments", "expected"), ASKED.values(), ids=ASKED)
def test_what_is_typed_is_what_is_asked(
    server: FakeApiServer, fairlead: Any, arguments: list[str], expected: dict[str, Any]
) -> None:
    assert fairlead(*arguments).exit_code == ExitCode.OK
    [action] = server.actions
    spec = dict(action["spec"])
    assert check_action(spec) == []
    for name in ("workflowName", "workflowUID", "requestedBy"):
        spec.pop(name)
    assert spec == expected


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_answers_to_approvals_bring_the_groups_of_who_answers(server: FakeApiServer, fairlead: Any, verb: str) -> None:
    fairlead(verb, "daily", "sign-off")
    assert server.actions[0]["spec"]["requestedBy"] == {"username": "ann", "groups": ["leads", "system:authenticated"]}


@pytest.mark.parametrize("verb", ["complete", "heartbeat"])
def test_a_callback_is_answered_for_the_attempt_that_waits(server: FakeApiServer, fairlead: Any, verb: str) -> None:
    server.add("daily", status(tasks=[CALLBACK]), TASKS)
    assert fairlead(verb, "daily", "ingest").exit_code == ExitCode.OK
    assert server.actions[0]["spec"]["token"] == "daily-ingest-1"


def test_where_none_waits_nothing_is_asked(server: FakeApiServer, fairlead: Any) -> None:
    assert "no attempt of load waits" in refused(fairlead("complete", "daily", "load")).message
    assert server.actions == []


def test_types_of_values_of_a_run_of_a_template_are_in_its_own_copy(server: FakeApiServer, fairlead: Any) -> None:
    made = server.add("daily", status(definition={"template": "t", "revision": "daily-5f"}), [])
    made["spec"] = {"templateRef": {"name": "t"}}
    server.revisions["daily-5f"] = {"tasks": TASKS}
    assert fairlead("approve", "daily", "sign-off", "-v", "note=10").exit_code == ExitCode.OK
    assert server.actions[0]["spec"]["values"] == {"note": "10"}


def test_a_value_must_fit_what_is_declared(server: FakeApiServer, fairlead: Any) -> None:
    error = refused(fairlead("mark", "daily", "load", "--as", "Succeeded", "-v", "rows=many"))
    assert (error.code, error.message) == (ExitCode.USAGE, "-v rows: 'many' is no integer; write JSON, such as '7'")


def test_what_cannot_be_a_request_is_refused_before_it_is_made(server: FakeApiServer, fairlead: Any) -> None:
    error = refused(fairlead("clear", "daily", "No_Task"))
    assert error.code == ExitCode.USAGE
    assert "spec.tasks[0]" in error.message
    assert server.actions == []


# -- what comes of it


def test_a_refusal_is_a_failure_with_its_reason(server: FakeApiServer, fairlead: Any) -> None:
    server.operator = lambda _: answer("False", "RunActive", "the run goes on")
    error = refused(fairlead("retry", "daily"))
    assert (error.code, error.message) == (ExitCode.FAILED, "refused: RunActive: the run goes on")


def test_without_an_operator_it_says_that_the_request_stays(server: FakeApiServer, fairlead: Any) -> None:
    server.operator = lambda _: None
    error = refused(fairlead("stop", "daily", "--timeout", "1"))
    assert error.code == ExitCode.UNREACHABLE
    assert "no operator has answered within 1 s; the request stays" in error.message
    assert error.hint == "to withdraw it: kubectl -n data delete workflowaction daily-stop-x0"


def test_a_denied_request_is_told_in_the_words_of_the_policy(server: FakeApiServer, fairlead: Any) -> None:
    server.refusal = (403, "Forbidden", "denied: you need the verb mark on the resource workflows")
    error = refused(fairlead("mark", "daily", "load", "--as", "Failed"))
    assert (error.code, error.message) == (
        ExitCode.FAILED,
        "not allowed: denied: you need the verb mark on the resource workflows",
    )


def test_a_cluster_with_older_definitions_says_what_to_do(server: FakeApiServer, fairlead: Any) -> None:
    server.refusal = (404, "NotFound", "the server could not find the requested resource")
    assert "kubectl apply -f crds/" in refused(fairlead("stop", "daily")).hint


@pytest.mark.parametrize(
    ("command", "verdict", "code"),
    [("retry", "True", ExitCode.OK), ("retry", "False", ExitCode.FAILED), ("stop", "False", ExitCode.OK)],
)
def test_waiting_follows_the_run_to_its_end(
    server: FakeApiServer, fairlead: Any, command: str, verdict: str, code: int
) -> None:
    ended = workflow("daily", status(verdict, tasks=[{"name": "load", "phase": "Succeeded"}]), TASKS, "3")
    server.watches = [[{"type": "MODIFIED", "object": ended}]]
    result = fairlead(command, "daily", "--wait")
    assert result.exit_code == code
    assert result.stdout.startswith("done as asked\n")
    assert "✔ load" in result.stdout


# -- suspend and resume


def seen(server: FakeApiServer, **more: Any) -> dict[str, Any]:
    made = workflow("daily", status(**({"observedGeneration": 2} | more)), TASKS, "3")
    server.watches = [[{"type": "MODIFIED", "object": made}]]
    return made


@pytest.mark.parametrize(
    ("command", "suspended", "said"),
    [
        ("suspend", True, "daily is suspended: spec.suspend is true; still running: load\n"),
        ("resume", False, "daily goes on\n"),
    ],
)
def test_a_run_is_suspended_and_resumed(
    server: FakeApiServer, fairlead: Any, command: str, suspended: bool, said: str
) -> None:
    seen(server, message="spec.suspend is true; still running: load")
    result = fairlead(command, "daily")
    assert (result.exit_code, result.stdout) == (ExitCode.OK, said)
    assert server.actions == []
    assert server.seen[-1].startswith("watch")


def test_it_writes_only_the_one_field(server: FakeApiServer, fairlead: Any) -> None:
    before = dict(server.workflows["daily"]["spec"])
    server.watches = [[], *([] for _ in range(10_000))]
    error = refused(fairlead("suspend", "daily", "--timeout", "1"))
    assert "no operator has taken notice within 1 s" in error.message
    assert server.workflows["daily"]["spec"] == before | {"suspend": True}


def test_a_finished_run_cannot_be_suspended(server: FakeApiServer, fairlead: Any) -> None:
    server.add("daily", status("False"), TASKS)
    error = refused(fairlead("suspend", "daily"))
    assert (error.code, error.message) == (ExitCode.FAILED, "daily has finished")
    assert "suspend" not in server.workflows["daily"]["spec"]
