"""What a run on this machine does; each task is a real process."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.local.stage import Shell, eventually, executed, is_alive, log, phases, prepared, retrying, sh

from fairlead.api.workspace import Workspace
from fairlead.engine.model import (
    Clocks,
    FailureClass,
    Node,
    OutputDeclaration,
    OutputSource,
    Phase,
    Settings,
    TriggerRule,
    ValueType,
)

ROWS = (OutputDeclaration(name="rows", type=ValueType.INTEGER),)


async def test_a_process_that_exits_with_0_is_a_task_that_succeeded(tmp_path: Path) -> None:
    run = await executed(tmp_path, sh("a", "echo hello"))
    assert phases(run) == {"a": "Succeeded"}
    assert run.state.outcome is not None
    assert run.state.outcome.succeeded
    assert log(run, "a") == "hello\n"


async def test_a_failure_keeps_its_exit_code_and_the_end_of_its_log(tmp_path: Path) -> None:
    run = await executed(tmp_path, sh("a", "echo starting; echo 'no such table' >&2; exit 7"))
    attempt = run.state.nodes["a"].attempts[0]
    assert (attempt.exit_code, attempt.failure_class) == (7, FailureClass.USER)
    assert attempt.message == "exit code 7: starting\nno such table"


async def test_the_message_of_a_failure_is_what_the_kubelet_would_keep(tmp_path: Path) -> None:
    run = await executed(tmp_path, sh("a", "i=0; while [ $i -lt 200 ]; do echo $i; i=$((i+1)); done; exit 1"))
    lines = run.state.nodes["a"].attempts[0].message.splitlines()
    assert lines[-1] == "199"
    assert len(lines) == 80


async def test_what_a_failing_task_wrote_to_its_outputs_file_is_its_message(tmp_path: Path) -> None:
    run = await executed(tmp_path, sh("a", 'echo noise; printf because > "$FAIRLEAD_OUTPUTS"; exit 1'))
    assert run.state.nodes["a"].attempts[0].message == "exit code 1: because"


async def test_an_end_by_a_signal_has_the_exit_code_of_a_container(tmp_path: Path) -> None:
    # `$$` in a command is one dollar, as in any pod.
    run = await executed(tmp_path, sh("a", "kill -KILL $$$$"))
    assert run.state.nodes["a"].attempts[0].exit_code == 137


async def test_outputs_reach_the_tasks_that_read_them(tmp_path: Path) -> None:
    reader = Node(
        name="b", work=Shell(render=lambda s: f"echo {s['tasks']['a']['outputs']['rows']}"), needs=("a",), reads=("a",)
    )
    run = await executed(tmp_path, sh("a", 'echo "{\\"rows\\": 42}" > "$FAIRLEAD_OUTPUTS"', outputs=ROWS), reader)
    assert run.state.nodes["a"].outputs == {"rows": 42}
    assert log(run, "b") == "42\n"


async def test_files_are_where_the_task_is_told(tmp_path: Path) -> None:
    work = Shell('cat "$FAIRLEAD_FILES/conf/a.json" "$FAIRLEAD_FILES/b"', files={"conf/a.json": "{}\n", "b": "ü"})
    run = await executed(tmp_path, Node(name="a", work=work))
    assert log(run, "a") == "{}\nü"


async def test_a_file_with_an_absolute_path_is_not_written(tmp_path: Path) -> None:
    work = Shell("true", files={str(tmp_path / "x"): "y"})
    run = await executed(tmp_path, Node(name="a", work=work))
    assert (run.state.nodes["a"].phase, run.state.nodes["a"].reason) == (Phase.FAILED, "NeedsCluster")
    assert not (tmp_path / "x").exists()


async def test_all_tasks_share_the_workspace(tmp_path: Path) -> None:
    writes, reads = (
        sh("a", 'echo hello > "$FAIRLEAD_WORKSPACE/x"'),
        sh("b", 'cat "$FAIRLEAD_WORKSPACE/x"', needs=("a",)),
    )
    run = await executed(tmp_path, writes, reads, workspace=Workspace(size="1Gi"))
    assert log(run, "b") == "hello\n"


async def test_without_a_workspace_none_is_named(tmp_path: Path) -> None:
    run = await executed(tmp_path, sh("a", 'echo "${FAIRLEAD_WORKSPACE-none}"'))
    assert log(run, "a") == "none\n"


async def test_what_a_task_printed_can_be_its_output(tmp_path: Path) -> None:
    printed = OutputDeclaration(name="x", type=ValueType.INTEGER, source=OutputSource.STDOUT)
    run = await executed(tmp_path, sh("a", "echo 42", outputs=(printed,)))
    assert run.state.nodes["a"].outputs == {"x": 42}


async def test_what_a_task_printed_can_be_too_much(tmp_path: Path) -> None:
    printed = OutputDeclaration(name="x", type=ValueType.STRING, source=OutputSource.STDOUT)
    run = await executed(tmp_path, sh("a", "head -c 5000 /dev/zero | tr '\\0' x", outputs=(printed,)))
    assert run.state.nodes["a"].reason == "OutputTooLarge"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("true", "OutputMissing"),
        ('echo "{\\"rows\\": \\"many\\"}" > "$FAIRLEAD_OUTPUTS"', "OutputInvalid"),
        ('rm "$FAIRLEAD_OUTPUTS"', "OutputMissing"),
        ('head -c 5000 /dev/zero | tr "\\0" x > "$FAIRLEAD_OUTPUTS"', "OutputTooLarge"),
    ],
)
async def test_outputs_that_are_not_as_declared_fail_the_task(tmp_path: Path, text: str, reason: str) -> None:
    run = await executed(tmp_path, sh("a", text, outputs=ROWS))
    assert (run.state.nodes["a"].phase, run.state.nodes["a"].reason) == (Phase.FAILED, reason)


async def test_a_script_is_run_from_a_file_by_its_interpreter(tmp_path: Path) -> None:
    source = "import sys\nprint(sys.argv[1:], sys.executable)\n"
    node = Node(name="a", work=Shell(script={"source": source, "interpreter": ["python3"]}, container={"args": ["x"]}))
    run = await executed(tmp_path, node)
    shown, executable = log(run, "a").rsplit(" ", 1)
    assert shown == "['x']"
    assert Path(executable.strip()).parent == Path(sys.executable).parent


async def test_each_attempt_has_a_directory_of_its_own(tmp_path: Path) -> None:
    text = 'ls -A; touch mine; [ -d "$TMPDIR" ] && pwd; [ "$FAIRLEAD_ATTEMPT" = 2 ]'
    run = await executed(tmp_path, sh("a", text, retry=retrying(1)))
    assert [log(run, "a", n).strip() for n in (1, 2)] == [str(tmp_path / "a" / n / "work") for n in ("1", "2")]


async def test_the_environment_is_known_and_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_MINE", "must not leak")
    run = await executed(tmp_path, sh("a", "env", env={"DAY": "$(FAIRLEAD_TASK)-1"}), passed={"EXTRA": "yes"})
    env = dict(line.split("=", 1) for line in log(run, "a").splitlines())
    assert env["DAY"] == "a-1"
    assert env["EXTRA"] == "yes"
    assert env["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
    assert (env["FAIRLEAD_WORKFLOW"], env["FAIRLEAD_TASK"], env["FAIRLEAD_ATTEMPT"]) == ("test-run", "a", "1")
    assert env["TMPDIR"] == str(tmp_path / "a" / "1" / "tmp")
    known = {"DAY", "EXTRA", "FAIRLEAD_ATTEMPT", "FAIRLEAD_OUTPUTS", "FAIRLEAD_TASK", "FAIRLEAD_WORKFLOW", "PATH"}
    ours = {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PWD", "OLDPWD", "SHLVL", "TMPDIR", "TZ", "USER", "_"}
    assert env.keys() <= known | ours


async def test_a_task_cannot_take_over_the_variables_of_fairlead(tmp_path: Path) -> None:
    run = await executed(tmp_path, sh("a", 'echo "$FAIRLEAD_TASK"', env={"FAIRLEAD_TASK": "b"}))
    assert log(run, "a") == "a\n"


async def test_arguments_are_expanded_and_never_read_by_a_shell(tmp_path: Path) -> None:
    work = Shell(
        container={
            "command": ["printf", "%s\\n"],
            "args": ["$(NAME)", "$$(NAME)", "; echo $(NOBODY)"],
            "env": [{"name": "NAME", "value": "a b"}],
        }
    )
    run = await executed(tmp_path, Node(name="a", work=work))
    assert log(run, "a") == "a b\n$(NAME)\n; echo $(NOBODY)\n"


async def test_standard_input_is_empty(tmp_path: Path) -> None:
    run = await executed(tmp_path, sh("a", "cat; echo end"))
    assert log(run, "a") == "end\n"


async def test_a_failed_attempt_is_tried_again_after_its_delay(tmp_path: Path) -> None:
    run = await executed(tmp_path, sh("a", '[ "$FAIRLEAD_ATTEMPT" = 3 ]', retry=retrying(3)))
    assert phases(run) == {"a": "Succeeded"}
    assert [attempt.exit_code for attempt in run.state.nodes["a"].attempts] == [1, 1, 0]


async def test_a_program_that_is_not_there_fails_at_once_and_is_not_tried_again(tmp_path: Path) -> None:
    missing = Node(name="a", work=Shell(container={"command": ["no-such-program"]}), retry=retrying(5))
    run = await executed(tmp_path, missing)
    state = run.state.nodes["a"]
    assert (state.phase, state.reason, len(state.attempts)) == (Phase.FAILED, "CommandNotFound", 1)
    assert "'no-such-program'" in state.message


async def test_arguments_too_long_for_the_system_fail_with_its_words(tmp_path: Path) -> None:
    run = await executed(tmp_path, Node(name="a", work=Shell(container={"command": ["true", "x" * 200_000]})))
    assert run.state.nodes["a"].reason == "StartError"
    assert "Argument list too long" in run.state.nodes["a"].message


async def test_a_job_that_got_here_all_the_same_is_refused(tmp_path: Path) -> None:
    class JobWork(Shell):
        def evaluate(self, scope):  # type: ignore[no-untyped-def]
            return {**super().evaluate(scope), "kind": "Job", "container": {}, "jobSpec": {}}

    run = await executed(tmp_path, Node(name="a", work=JobWork()))
    assert run.state.nodes["a"].reason == "NeedsCluster"


async def test_the_children_of_a_failure_do_not_run(tmp_path: Path) -> None:
    cleanup = sh("c", needs=("b",), trigger=TriggerRule.ALL_DONE)
    run = await executed(tmp_path, sh("a", "exit 1"), sh("b", needs=("a",)), cleanup)
    assert phases(run) == {"a": "Failed", "b": "UpstreamFailed", "c": "Succeeded"}
    assert run.state.outcome is not None
    assert run.state.outcome.reason == "TaskFailed"


async def test_an_attempt_over_its_time_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    slow = sh("a", "sleep 60 & echo $!; sleep 60", clocks=Clocks(run_seconds=0))
    run = await executed(tmp_path, slow)
    assert run.state.nodes["a"].reason == "TimedOut"
    assert run.state.nodes["a"].attempts[0].exit_code == 143
    assert not is_alive(int(log(run, "a").strip() or 0))


async def test_a_stopped_run_asks_its_tasks_to_end_and_starts_nothing_new(tmp_path: Path) -> None:
    text = "trap 'echo tidied; exit 1' TERM; touch ready; while true; do sleep 0.01; done"
    nodes = (sh("a", text, retry=retrying(3)), sh("b", needs=("a",), trigger=TriggerRule.ALWAYS), sh("c", needs=("a",)))
    run = prepared(tmp_path, *nodes, settings=Settings(parallelism=1))
    running = asyncio.create_task(run.execute())
    await eventually((tmp_path / "a/1/work/ready").exists)
    run.stop()
    await asyncio.wait_for(running, 5)
    assert phases(run) == {"a": "Cancelled", "b": "Cancelled", "c": "Cancelled"}
    assert log(run, "a").endswith("tidied\n")
    assert not (tmp_path / "b").exists()


async def test_a_task_that_ignores_the_request_to_end_is_killed_after_its_grace(tmp_path: Path) -> None:
    text = "trap '' TERM; touch ready; while true; do sleep 0.01; done"
    run = prepared(tmp_path, sh("a", text, pod={"terminationGracePeriodSeconds": 0}))
    running = asyncio.create_task(run.execute())
    await eventually((tmp_path / "a/1/work/ready").exists)
    run.stop()
    await asyncio.wait_for(running, 5)
    assert run.state.nodes["a"].attempts[0].exit_code == 137


async def test_a_stop_can_be_hurried(tmp_path: Path) -> None:
    text = "trap '' TERM; touch ready; while true; do sleep 0.01; done"
    run = prepared(tmp_path, sh("a", text, pod={"terminationGracePeriodSeconds": 600}))
    running = asyncio.create_task(run.execute())
    await eventually((tmp_path / "a/1/work/ready").exists)
    run.stop()
    run.kill()
    await asyncio.wait_for(running, 5)
    assert phases(run) == {"a": "Cancelled"}


async def test_no_process_is_left_when_the_run_is_cancelled_from_outside(tmp_path: Path) -> None:
    run = prepared(tmp_path, sh("a", "echo $$$$; touch ready; sleep 60"))
    running = asyncio.create_task(run.execute())
    await eventually((tmp_path / "a/1/work/ready").exists)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await eventually(lambda: not is_alive(int(log(run, "a"))))


async def test_the_deadline_of_the_run_cancels_what_runs_and_what_waits(tmp_path: Path) -> None:
    run = await executed(
        tmp_path, sh("a", "sleep 60"), sh("b", needs=("a",)), settings=Settings(parallelism=2, deadline_seconds=1)
    )
    assert phases(run) == {"a": "Cancelled", "b": "Cancelled"}
    assert run.state.outcome is not None
    assert run.state.outcome.reason == "DeadlineExceeded"


async def test_what_a_finished_task_left_running_ends_with_it(tmp_path: Path) -> None:
    run = await executed(tmp_path, sh("a", "sleep 60 & echo $!"))
    await eventually(lambda: not is_alive(int(log(run, "a"))))  # killed, which takes a moment on a busy machine


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="only Linux shows the environment of a process")
async def test_a_daemon_that_made_a_session_of_its_own_ends_too(tmp_path: Path) -> None:
    text = 'setsid sh -c "echo \\$\\$ > pid; exec sleep 60" & while [ ! -s pid ]; do sleep 0.01; done; cat pid'
    run = await executed(tmp_path, sh("a", text))
    await eventually(lambda: not is_alive(int(log(run, "a"))))


async def test_no_more_tasks_run_at_once_than_the_parallelism_allows(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    text = f"mkdir {shared}/$FAIRLEAD_TASK; ls {shared} | wc -l; sleep 0.03; rmdir {shared}/$FAIRLEAD_TASK"
    run = await executed(tmp_path, *(sh(f"t{n}", text) for n in range(6)), settings=Settings(parallelism=2))
    assert max(int(log(run, f"t{n}")) for n in range(6)) <= 2


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
async def test_a_task_starts_only_after_all_it_needs_have_ended(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    size = data.draw(st.integers(2, 7))
    needs = {n: data.draw(st.sets(st.integers(0, n - 1))) if n else set() for n in range(size)}
    journal = tmp_path_factory.mktemp("order") / "journal"
    text = f'echo "start $FAIRLEAD_TASK" >> {journal}; echo "end $FAIRLEAD_TASK" >> {journal}'
    nodes = [sh(f"t{n}", text, needs=tuple(f"t{m}" for m in sorted(needs[n]))) for n in range(size)]
    workdir = tmp_path_factory.mktemp("work")
    run = await executed(workdir, *data.draw(st.permutations(nodes)))
    assert set(phases(run).values()) == {"Succeeded"}
    happened = journal.read_text().splitlines()
    assert sorted(happened) == sorted(f"{what} t{n}" for what in ("start", "end") for n in range(size))
    for n in range(size):
        for parent in needs[n]:
            assert happened.index(f"end t{parent}") < happened.index(f"start t{n}"), json.dumps(happened)
