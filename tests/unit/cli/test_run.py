"""`fairlead run --local` as people use it. Tasks are real processes."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.local.stage import is_alive
from typer.testing import CliRunner, Result

from fairlead.cli.exits import CliError, ExitCode
from fairlead.cli.main import app


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write_workflow(*tasks: dict[str, Any], **spec: Any) -> Path:
        file = tmp_path / "flow.yaml"
        spec = {"taskDefaults": {"image": "unused"}, **spec, "tasks": list(tasks)}
        metadata = {"name": "demo", "namespace": "data"}
        workflow = {"apiVersion": "fairlead.dev/v1alpha1", "kind": "Workflow", "metadata": metadata, "spec": spec}
        file.write_text(yaml.safe_dump(workflow, sort_keys=False))
        return file

    return write_workflow


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary working directories are made."""
    made = tmp_path / "temporary"
    made.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(made))
    return made


def shell(name: str, text: str = "true", **more: Any) -> dict[str, Any]:
    return {"name": name, "container": {"command": ["sh", "-c", text]}, **more}


def run(file: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["run", str(file), "--local", *options])


def test_a_run_that_succeeds_leaves_nothing_behind(write: Callable[..., Path], temporary: Path) -> None:
    result = run(write(shell("a"), shell("b", needs=["a"])))
    assert (result.exit_code, list(temporary.iterdir())) == (ExitCode.OK, [])
    lines = [line.split() for line in result.stdout.splitlines()]
    assert lines[0][:4] == ["demo", "Succeeded", "2/2", "tasks"]
    assert [line[:2] for line in lines[1:]] == [["✔", "a"], ["✔", "b"]]


def test_progress_goes_to_standard_error_a_line_for_each_event(write: Callable[..., Path]) -> None:
    flaky = shell("a", '[ "$FAIRLEAD_ATTEMPT" = 2 ] || { echo busy; exit 1; }')
    flaky["retry"] = {"limit": 1, "backoff": {"initialSeconds": 0}}
    result = run(write(flaky, shell("b", needs=["a"], when="${tasks.a.phase == 'Failed'}")))
    told = [line.split("  ", 1)[1] for line in result.stderr.splitlines()]
    assert told[:3] == ["a: started", "a: attempt 1 failed: exit code 1: busy", "a: started, attempt 2"]
    assert told[3].startswith("a: succeeded in ")
    assert told[4] == "b: Skipped: its condition `when` is false"


def test_a_run_that_fails_keeps_its_directories_and_says_where_the_logs_are(
    write: Callable[..., Path], temporary: Path
) -> None:
    result = run(write(shell("a", "echo no such table; exit 3")))
    assert result.exit_code == ExitCode.FAILED
    (kept,) = temporary.iterdir()
    assert str(kept / "a/1/log") in result.stdout
    assert (kept / "a/1/log").read_text() == "no such table\n"
    assert "exit code 3: no such table" in result.stdout


def test_directories_may_be_kept_or_put_where_one_likes(
    write: Callable[..., Path], temporary: Path, tmp_path: Path
) -> None:
    file = write(shell("a", "echo hi > file"))
    run(file, "--keep")
    assert len(list(temporary.iterdir())) == 1
    run(file, "--workdir", str(tmp_path / "new/work"))
    assert (tmp_path / "new/work/a/1/work/file").read_text() == "hi\n"
    again = run(file, "--workdir", str(tmp_path / "new/work"))
    assert isinstance(again.exception, CliError)
    assert "is not empty" in again.exception.message


def test_parameters_reach_the_tasks_and_results_come_back(write: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("limit: 5\nday: 2026-01-01\n")
    file = write(
        shell("a", 'echo "{\\"said\\": \\"$DAY $LIMIT\\"}" > "$FAIRLEAD_OUTPUTS"')
        | {"env": [{"name": "DAY", "value": "${params.day}"}, {"name": "LIMIT", "value": "${params.limit}"}]}
        | {"outputs": [{"name": "said"}]},
        params=[{"name": "day"}, {"name": "limit", "type": "integer"}],
        outputs=[{"name": "said", "value": "${tasks.a.outputs.said}"}],
    )
    result = run(file, "-f", str(tmp_path / "params.yaml"), "-p", "limit=7", "-o", "json")
    assert json.loads(result.stdout)["outputs"] == {"said": "2026-01-01 7"}


def test_json_is_the_status_as_the_operator_writes_it(write: Callable[..., Path]) -> None:
    result = run(write(shell("a", "exit 1")), "-o", "json")
    status = json.loads(result.stdout)
    assert result.exit_code == ExitCode.FAILED
    assert (status["phase"], status["progress"], status["counts"]) == ("Failed", "1/1", {"total": 1, "failed": 1})
    assert {each["type"]: each["status"] for each in status["conditions"]} | {} == {
        "Succeeded": "False",
        "Finished": "True",
        "Reconciling": "False",
        "Stalled": "True",
        "Suspended": "False",
    }
    assert status["tasks"][0]["attempts"][0]["exitCode"] == 1


def test_logs_are_printed_when_asked_for(write: Callable[..., Path]) -> None:
    result = run(write(shell("a", "echo one; echo two >&2")), "--logs")
    assert [line for line in result.stderr.splitlines() if " | " in line] == ["a | one", "a | two"]


def test_variables_may_be_passed_on_or_set(write: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "mine")
    result = run(write(shell("a", 'echo "$MINE $SET"')), "--logs", "-e", "MINE", "--env", "SET=set")
    assert "a | mine set" in result.stderr
    missing = run(write(shell("a")), "-e", "NO_SUCH_VARIABLE")
    assert isinstance(missing.exception, CliError)


def test_an_invalid_workflow_starts_nothing_and_tells_every_problem(
    write: Callable[..., Path], tmp_path: Path, temporary: Path
) -> None:
    file = write(shell("a", needs=["x"]), shell("a"), {"name": "b", "container": {}}, params=[{"name": "day"}])
    result = run(file, "-o", "json")
    assert result.exit_code == ExitCode.USAGE
    assert "spec.tasks[0].needs[0]: " in result.stderr
    assert list(temporary.iterdir()) == []
    conditions = {each["type"]: each for each in json.loads(result.stdout)["conditions"]}
    assert conditions["Succeeded"]["reason"] == "InvalidSpec"


def test_what_needs_a_cluster_starts_nothing(write: Callable[..., Path], temporary: Path) -> None:
    entrypoint = {"name": "b", "container": {"image": "x"}}
    result = run(write(shell("a"), entrypoint))
    assert result.exit_code == ExitCode.USAGE
    assert "spec.tasks[1].container: task 'b' runs its image's entrypoint" in result.stderr
    assert list(temporary.iterdir()) == []


def test_a_warning_that_holds_in_many_places_is_printed_once(write: Callable[..., Path]) -> None:
    def mounting(name: str) -> dict[str, Any]:
        task = shell(name)
        task["container"]["volumeMounts"] = [{"name": "data", "mountPath": "/data"}]
        return {**task, "pod": {"volumes": [{"name": "data", "emptyDir": {}}]}}

    result = run(write(mounting("a"), mounting("b")))
    warnings = [line for line in result.stderr.splitlines() if line.startswith("Warning:")]
    assert len(warnings) == 1
    assert "volumes are not mounted here" in warnings[0]
    assert warnings[0].endswith("(and in 1 more places)")
    assert result.exit_code == ExitCode.OK


def test_a_suspended_workflow_runs_only_when_that_is_said(write: Callable[..., Path]) -> None:
    file = write(shell("a"), suspend=True)
    refused = run(file)
    assert isinstance(refused.exception, CliError)
    assert "--ignore-suspend" in refused.exception.hint
    assert run(file, "--ignore-suspend").exit_code == ExitCode.OK


def test_a_run_without_local_says_how_to_run_on_a_cluster(write: Callable[..., Path]) -> None:
    result = CliRunner().invoke(app, ["run", str(write(shell("a")))])
    assert isinstance(result.exception, CliError)
    assert "kubectl apply -f" in result.exception.hint


def test_standard_input_is_a_file_too(write: Callable[..., Path]) -> None:
    text = write(shell("a")).read_text()
    assert CliRunner().invoke(app, ["run", "-", "--local"], input=text).exit_code == ExitCode.OK


def test_a_generated_name_is_made_up(write: Callable[..., Path]) -> None:
    file = write(shell("a", 'echo "$FAIRLEAD_WORKFLOW"'))
    file.write_text(file.read_text().replace("name: demo", "generateName: nightly-", 1))
    said = [line for line in run(file, "--logs").stderr.splitlines() if line.startswith("a | ")]
    assert said[0].startswith("a | nightly-")
    assert len(said[0]) > len("a | nightly-")


class Program:
    """`fairlead run` as a process of its own, which signals can be sent to."""

    def __init__(self, file: Path, workdir: Path) -> None:
        self.workdir = workdir
        self.err = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fairlead.cli.main", "run", str(file), "--local", "--workdir", str(workdir)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        _eventually((workdir / "a/1/work/ready").exists)

    def ended(self) -> tuple[int, str]:
        out, self.err = self.process.communicate(timeout=10)
        return self.process.returncode, out

    def left(self) -> list[int]:
        pids = [int(line) for line in (self.workdir / "a/1/log").read_text().split() if line.isdigit()]
        return [pid for pid in pids if is_alive(pid)]


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_the_run_cleanly(
    write: Callable[..., Path], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    text = "trap 'echo tidied; exit 1' TERM; echo $$$$; sleep 60 & echo $!; touch ready; wait"
    program = Program(write(shell("a", text), shell("b", needs=["a"])), tmp_path / "work")
    program.process.send_signal(number)
    returned, out = program.ended()
    assert returned == code
    assert "demo  Stopped" in out
    assert "1 tasks were never started" in out
    assert "tidied" in (tmp_path / "work/a/1/log").read_text()
    assert program.left() == []


def test_ctrl_c_runs_finally_and_says_so(write: Callable[..., Path], tmp_path: Path) -> None:
    tidy = shell("tidy", f"touch {tmp_path}/tidied")
    program = Program(write(shell("a", "touch ready; sleep 60"), **{"finally": [tidy]}), tmp_path / "work")
    program.process.send_signal(signal.SIGINT)
    returned, out = program.ended()
    assert returned == ExitCode.INTERRUPTED
    assert "then `finally` runs" in program.err
    assert (tmp_path / "tidied").exists()
    assert "demo  Stopped" in out


def test_a_second_ctrl_c_runs_no_finally(write: Callable[..., Path], tmp_path: Path) -> None:
    tidy = shell("tidy", "touch ready; sleep 60")
    program = Program(write(shell("a", "touch ready; sleep 60"), **{"finally": [tidy]}), tmp_path / "work")
    program.process.send_signal(signal.SIGINT)
    _eventually((tmp_path / "work/tidy/1/work/ready").exists)
    program.process.send_signal(signal.SIGINT)
    returned, out = program.ended()
    assert returned == ExitCode.INTERRUPTED
    assert "◼ tidy" in out


def _all_shown(keyboard: int) -> str:
    """Return all that is shown on a terminal until nobody has it open any more."""
    shown = b""
    with suppress(OSError):  # that is how it ends
        while found := os.read(keyboard, 4096):
            shown += found
    os.close(keyboard)
    return shown.decode()


def test_on_a_terminal_approvals_are_asked_for(write: Callable[..., Path]) -> None:
    keyboard, terminal = pty.openpty()
    file = write(ASK, shell("b", needs=["ask"]))
    process = subprocess.Popen(
        [sys.executable, "-m", "fairlead.cli.main", "run", str(file), "--local", "-o", "json"],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        text=True,
        env={**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    os.close(terminal)
    os.write(keyboard, b"approve\n10\n")
    shown = _all_shown(keyboard)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == ExitCode.OK
    assert json.loads(out)["tasks"][0]["outputs"]["percent"] == 10
    assert ": Publish?" in shown


def test_a_second_ctrl_c_does_not_wait_for_those_that_will_not_end(write: Callable[..., Path], tmp_path: Path) -> None:
    text = "trap 'touch asked' TERM; echo $$$$; touch ready; while true; do sleep 0.01; done"
    stubborn = shell("a", text, pod={"terminationGracePeriodSeconds": 600})
    program = Program(write(stubborn), tmp_path / "work")
    program.process.send_signal(signal.SIGINT)
    _eventually((tmp_path / "work/a/1/work/asked").exists)
    program.process.send_signal(signal.SIGINT)
    assert program.ended()[0] == ExitCode.INTERRUPTED
    assert program.left() == []


def _eventually(check: Callable[[], object]) -> None:
    until = time.monotonic() + 10
    while not check():
        assert time.monotonic() < until
        time.sleep(0.005)  # noqa: TID251 - there is no event loop here


def test_a_template_in_the_same_file_is_run(write: Callable[..., Path]) -> None:
    file = write(shell("a", 'test "$DAY" = monday', env=[{"name": "DAY", "value": "${params.day}"}]))
    template = yaml.safe_load(file.read_text())
    template |= {"kind": "WorkflowTemplate", "metadata": {"name": "daily"}}
    template["spec"]["params"] = [{"name": "day"}]
    workflow = {
        **template,
        "kind": "Workflow",
        "metadata": {"name": "demo"},
        "spec": {"templateRef": {"name": "daily"}},
    }
    file.write_text(yaml.safe_dump_all([workflow, template]))
    assert run(file, "-p", "day=monday").exit_code == ExitCode.OK
    assert run(file, "-p", "day=tuesday").exit_code == ExitCode.FAILED
    file.write_text(yaml.safe_dump(workflow))
    result = run(file)
    assert result.exit_code == ExitCode.USAGE
    assert "there is no WorkflowTemplate 'daily' among the files; name the one that has it with" in result.output
    (file.parent / "templates").mkdir()
    (file.parent / "templates/daily.yaml").write_text(yaml.safe_dump(template))
    assert run(file, "-p", "day=monday", "--templates", str(file.parent / "templates")).exit_code == ExitCode.OK


def with_template(file: Path, *tasks: dict[str, Any], **spec: Any) -> Path:
    """Add a template `part` to a file."""
    template = yaml.safe_load(file.read_text())
    template |= {"kind": "WorkflowTemplate", "metadata": {"name": "part"}}
    template["spec"] = {"taskDefaults": {"image": "unused"}, **spec, "tasks": list(tasks)}
    file.write_text(file.read_text() + "---\n" + yaml.safe_dump(template))
    return file


SUB = {"name": "sub", "workflow": {"templateRef": {"name": "part"}}}


def test_a_sub_workflow_is_one_line_and_its_logs_bear_its_name(write: Callable[..., Path], temporary: Path) -> None:
    result = run(with_template(write(SUB), shell("x", "echo hello; exit 3")), "--logs")
    assert result.exit_code == ExitCode.FAILED
    assert "sub/x | hello" in result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:2]] == [["✘", "sub"]]
    assert "task 'x' failed: ExitCode: exit code 3: hello" in result.stdout
    (kept,) = temporary.iterdir()
    assert str(kept / "sub/1/x/1/log") in result.stdout


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ({"name": "x", "resource": {"preset": "Job", "manifest": {"apiVersion": "batch/v1", "kind": "Job"}}}, "makes"),
        ({"name": "x", "approval": {"message": "?"}}, "--answer x=Approve"),
        ({"name": "x", "container": {}}, "runs its image's entrypoint"),
        (shell("x", needs=["nobody"]), "spec.tasks[0].needs[0]: "),
        ({"name": "x", "workflow": {"templateRef": {"name": "other"}}}, "there is no WorkflowTemplate 'other'"),
    ],
)
def test_what_a_template_needs_is_told_at_the_task_that_runs_it(
    write: Callable[..., Path], temporary: Path, task: dict[str, Any], said: str
) -> None:
    result = run(with_template(write(SUB), task))
    assert result.exit_code == ExitCode.USAGE
    assert "spec.tasks[0].workflow.templateRef.name: " in result.stderr
    assert said in result.stderr
    assert list(temporary.iterdir()) == []


def test_a_template_wants_its_parameters(write: Callable[..., Path]) -> None:
    result = run(with_template(write(SUB), shell("x"), params=[{"name": "day"}]))
    assert result.exit_code == ExitCode.USAGE
    assert "parameter 'day' of WorkflowTemplate 'part' has no value" in result.stderr


ASK = {"name": "ask", "approval": {"message": "Publish?", "form": [{"name": "percent", "type": "integer"}]}}
CALL = {"name": "call", "wait": {"callback": True}, "outputs": [{"name": "rows", "type": "integer"}]}


def test_answers_are_given_up_front(write: Callable[..., Path]) -> None:
    answers = ("--answer", "ask=Approve", "--answer", "ask.percent=10", "--answer", 'call={"rows": 7}')
    result = run(write(ASK, CALL), *answers, "-o", "json")
    tasks = {task["name"]: task for task in json.loads(result.stdout)["tasks"]}
    assert tasks["ask"]["outputs"]["percent"] == 10
    assert tasks["call"]["outputs"] == {"rows": 7}


def test_without_them_nothing_starts_and_the_remedy_is_named(write: Callable[..., Path], temporary: Path) -> None:
    result = run(write(ASK, CALL))
    assert result.exit_code == ExitCode.USAGE
    assert "here is no terminal to ask on; answer it with `--answer ask=Approve`" in result.stderr
    assert "answer it with `--answer call={…}`" in result.stderr
    assert list(temporary.iterdir()) == []


def test_an_answer_that_cannot_be_is_a_rejection_with_its_reason(write: Callable[..., Path]) -> None:
    ask = {"name": "ask", "approval": {"message": "?", "form": [{"name": "percent", "type": "integer", "maximum": 1}]}}
    result = run(write(ask), "--answer", "ask.percent=2")
    assert result.exit_code == ExitCode.FAILED
    assert "rejected by you: ask: `percent` must be at most 1, not 2" in result.stdout


def test_a_long_list_is_a_few_lines(write: Callable[..., Path]) -> None:
    task = {
        "name": "m",
        "forEach": {"in": list(range(1000)), "tolerate": {"count": 1000}},
        "wait": {"seconds": 0},
    }
    result = run(write(task))
    assert result.exit_code == ExitCode.OK
    assert len(result.stdout.splitlines()) == 2
    assert "1000/1000 items" in result.stdout
    assert len(result.stderr.splitlines()) <= 12


def test_finally_runs_at_the_end_and_is_drawn_last(write: Callable[..., Path]) -> None:
    result = run(write(shell("a", "exit 1"), **{"finally": [shell("tidy")]}))
    assert [line.split()[:2] for line in result.stdout.splitlines()[3:5]] == [["finally"], ["✔", "tidy"]]
