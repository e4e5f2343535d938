"""Runs a compiled workflow with local processes: the loop around `plan()`.

It is the operator's loop with the cluster taken out: facts in, commands out, wait for the next fact or `wake_at`.
What a process does is told to the engine the way a pod would tell it (a `PodView`, read by `observe_pod`), so that
ends, time-outs and failures are classified by the very rules that count in a cluster.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from fairlead.api.compile import Compiled
from fairlead.api.environment import OUTPUTS, WORKSPACE, identity
from fairlead.clock import utc_now
from fairlead.engine.classify import PodView, observe_pod
from fairlead.engine.commands import Command, EndAttempt, StartAttempt
from fairlead.engine.events import Event, StartRefused, UserAction
from fairlead.engine.model import ActionKind, FailureClass, Phase, Settings, StopMode, WorkKind
from fairlead.engine.plan import begin, plan
from fairlead.engine.state import RunState
from fairlead.local.guard import Guard
from fairlead.local.process import Process
from fairlead.local.questions import YOU, Answerer, Questions, nobody
from fairlead.local.requests import Requests
from fairlead.local.sandbox import Cannot, Launch, Sandbox, prepare
from fairlead.local.subworkflows import Subworkflows

__all__ = ["GRACE_SECONDS", "LocalRun", "Surroundings"]

#: Between SIGTERM and SIGKILL for tasks that set no `pod.terminationGracePeriodSeconds`. Kubernetes' 30 is for
#: services that drain connections; here somebody sits and waits.
GRACE_SECONDS = 5.0


def _no_template(_: str) -> Any:
    return None


def _unheard(_label: str, _sandbox: Sandbox) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a run and its sub-workflows find here.

    `base` is the environment that every task begins with, `answerer` answers what waits for somebody, `find_template`
    returns the spec of a template by its name. `on_ended` hears of each process that has ended: its task, with those
    that it is a sub-workflow of, and where its log is.
    """

    base: Mapping[str, str]
    answerer: Answerer = nobody
    find_template: Callable[[str], Any] = _no_template
    on_ended: Callable[[str, Sandbox], None] = _unheard


@dataclass(slots=True)
class _Live:
    """An attempt that has a process."""

    view: PodView
    launch: Launch
    process: Process
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class LocalRun:
    """One run of a workflow on this machine. Await :meth:`execute` once; `state` may be read at any time.

    Args:
        compiled: what to run.
        settings: in place of `compiled.settings`; never suspended, as nobody could resume the run.
        uid: identifies the run; seeds names and jitter.
        workdir: where each attempt makes a directory of its own.
        surroundings: what it finds here.
        on_change: called after each step that changed the state, with the names of the nodes that changed.
        above: the labels of the tasks that it is a sub-workflow of.
    """

    def __init__(
        self,
        compiled: Compiled,
        *,
        settings: Settings,
        uid: str,
        workdir: Path,
        surroundings: Surroundings,
        on_change: Callable[[Collection[str]], None] = lambda _: None,
        above: tuple[str, ...] = (),
    ) -> None:
        self.graph = compiled.graph
        self.settings = settings
        self.state: RunState = begin(
            compiled.graph, uid=uid, name=compiled.name, namespace=compiled.namespace, started_at=_now()
        )
        self.state.recorded_revision = sys.maxsize  # nobody takes this run up again: what is known is on record
        self.on_change = on_change
        self._workdir = workdir
        self._shared = compiled.workspace is not None
        self._surroundings = surroundings
        self._above = above
        self._stop: StopMode | None = None
        self._facts: asyncio.Queue[Event] = asyncio.Queue()
        self._live: dict[str, _Live] = {}
        self._carriers: set[asyncio.Task[None]] = set()
        self._requests = Requests(self._facts.put_nowait)
        self._questions = Questions(surroundings.answerer, self._facts.put_nowait)
        self._nested: dict[str, LocalRun] = {}
        self._subworkflows = Subworkflows(
            find=surroundings.find_template, make=self._make_nested, tell=self._facts.put_nowait, depth=len(above) + 1
        )

    @property
    def stopped(self) -> bool:
        """Whether somebody has asked for its end."""
        return self._stop is not None

    async def execute(self) -> RunState:
        """Run to the end and return the final state. No process is left when this returns or raises."""
        with Guard() as guard:
            await self.execute_under(guard)
        return self.state

    async def execute_under(self, guard: Guard) -> None:
        """Run to the end, with the guard of somebody else."""
        try:
            async with asyncio.TaskGroup() as carriers:
                await self._loop(guard, carriers)
                self._questions.close()
        finally:
            await self._requests.close()

    def stop(self, mode: StopMode = StopMode.CANCEL) -> None:
        """Start nothing new and ask what runs to end (SIGTERM); unless terminated, `finally` runs then."""
        if self._stop is not StopMode.TERMINATE:
            self._stop = mode
            self._facts.put_nowait(self._request_to_stop(mode))

    def kill(self) -> None:
        """End every process at once (SIGKILL), and run no `finally`."""
        self.stop(StopMode.TERMINATE)
        for live in self._live.values():
            live.process.kill()
        self._subworkflows.kill()

    def sandbox(self, node: str, number: int) -> Sandbox:
        """Return where an attempt finds its files, and leaves its log."""
        return Sandbox(self._workdir / node / str(number))

    def logs_of_failures(self) -> Iterator[Path]:
        """Yield the logs of what has failed, in sub-workflows too: the last attempt of each."""
        for state in self.state.nodes.values():
            if state.phase is not Phase.FAILED or not state.attempts:
                continue
            nested = self._nested.get(state.attempts[-1].object_name)
            if nested is not None:
                yield from nested.logs_of_failures()
            elif state.node.work.kind is WorkKind.POD:
                yield self.sandbox(state.name, state.attempts[-1].number).log

    def _make_nested(self, compiled: Compiled, start: StartAttempt) -> LocalRun:
        made = self._nested[start.object_name] = LocalRun(
            compiled,
            settings=replace(
                compiled.settings, suspend=False, parallelism=compiled.settings.parallelism or self.settings.parallelism
            ),
            uid=f"{self.state.uid}/{start.object_name}",
            workdir=self.sandbox(start.node, start.number).root,
            surroundings=self._surroundings,
            above=(*self._above, _label(start)),
        )
        return made

    async def _loop(self, guard: Guard, carriers: asyncio.TaskGroup) -> None:
        run, revision, facts = self.state, -1, self._heard()
        while True:
            now = _now()
            planned = plan(self.graph, run, facts, self.settings, now)
            for command in planned.commands:
                self._carry_out(command, guard, carriers)
            touched, run.touched = run.touched, {}
            for question in self._questions.look(self.graph, run, touched, carriers):
                self._keep(question)
            if run.revision != revision:
                revision = run.revision
                self.on_change(touched)
            if run.outcome is not None:
                return
            if planned.wake_at is None and not self._carriers:
                raise RuntimeError(f"the run {run.name!r} cannot get on: nothing runs and nothing is due")
            facts = await self._next_facts(planned.wake_at)

    async def _next_facts(self, wake_at: datetime | None) -> list[Event]:
        """Wait for something to happen, at most until `wake_at`, and return all that has happened."""
        timeout = None if wake_at is None else max(0.0, (wake_at - _now()).total_seconds())
        with suppress(TimeoutError):
            first = await asyncio.wait_for(self._facts.get(), timeout)
            return [first, *self._heard()]
        return self._heard()

    def _heard(self) -> list[Event]:
        found = []
        while not self._facts.empty():
            found.append(self._facts.get_nowait())
        return found

    def _request_to_stop(self, mode: StopMode) -> UserAction:
        """Return what a user of a cluster would ask for."""
        return UserAction(
            uid=f"{self.state.uid}/stop/{mode.value}",
            name="stop",
            kind=ActionKind.STOP,
            created_at=_now(),
            by=YOU,
            mode=mode,
        )

    def _keep(self, carrier: asyncio.Task[None]) -> None:
        """Keep a task until it is over: as long as there is one, something may still happen."""
        self._carriers.add(carrier)
        carrier.add_done_callback(self._carriers.discard)

    def _carry_out(self, command: Command, guard: Guard, carriers: asyncio.TaskGroup) -> None:
        match command:
            case StartAttempt() if command.kind is WorkKind.HTTP:
                self._keep(self._requests.start(command, carriers))
            case StartAttempt() if command.kind is WorkKind.WORKFLOW:
                self._keep(self._subworkflows.start(command, self.state.namespace, guard, carriers))
            case StartAttempt():
                self._keep(carriers.create_task(self._carry(command, guard), name=command.object_name))
            case EndAttempt() if command.kind is WorkKind.HTTP:
                self._requests.end(command.object_name)
            case EndAttempt() if command.kind is WorkKind.WORKFLOW:
                self._subworkflows.end(command, self.state.stop_mode)
            case EndAttempt():
                self._end(command, carriers)
            case _:
                pass  # nothing is held here, and what happens is shown from the state

    async def _carry(self, start: StartAttempt, guard: Guard) -> None:
        """Carry one attempt from its start to its end: what a kubelet does for a pod."""
        created_at = _now()
        sandbox = self.sandbox(start.node, start.number)
        who = identity(self.state.name, start) | self._workspace()
        try:
            launch = prepare(
                start.work, sandbox, base=self._surroundings.base, identity=who, grace_seconds=GRACE_SECONDS
            )
            process = await Process.start(
                launch.argv, env=launch.env, cwd=sandbox.work, log=sandbox.log, mark=OUTPUTS, guard=guard
            )
        except Cannot as error:
            self._refuse(start, error.reason, error.message)
            return
        except (OSError, ValueError) as error:  # ValueError: a NUL in an argument
            self._refuse(start, "StartError", f"the process cannot be started: {error}")
            return
        view = PodView(
            name=start.object_name,
            uid="",
            owner_uid=self.state.uid,
            owner_name=self.state.name,
            node=start.node,
            number=start.number,
            phase="Running",
            created_at=created_at,
            running_at=_now(),
        )
        live = self._live[start.object_name] = _Live(view, launch, process)
        self._facts.put_nowait(observe_pod(view))
        if self._stop is StopMode.TERMINATE:
            process.kill()  # it was on its way when the others were
        try:
            exit_code = await process.wait()
        finally:
            del self._live[start.object_name]
            live.ended.set()
            self._surroundings.on_ended("/".join((*self._above, _label(start))), sandbox)
        ended = replace(
            live.view,
            phase="Failed" if exit_code else "Succeeded",
            finished_at=_now(),
            exit_code=exit_code,
            main_message=sandbox.message(exit_code),
        )
        seen = observe_pod(ended)
        assert seen.outcome is not None
        self._facts.put_nowait(replace(seen, outcome=replace(seen.outcome, stdout=sandbox.printed())))

    def _workspace(self) -> dict[str, str]:
        """Return the variable that names the directory which all tasks share, where the run has one."""
        if not self._shared:
            return {}
        directory = self._workdir / ".workspace"  # no task has such a name
        directory.mkdir(exist_ok=True)
        return {WORKSPACE: str(directory)}

    def _refuse(self, start: StartAttempt, reason: str, message: str) -> None:
        self._facts.put_nowait(
            StartRefused(
                node=start.node,
                number=start.number,
                reason=reason,
                message=message,
                failure_class=FailureClass.CONFIGURATION,
            )
        )

    def _end(self, end: EndAttempt, carriers: asyncio.TaskGroup) -> None:
        live = self._live.get(end.object_name)
        if live is None or live.view.ending:
            return  # over already, or asked before
        grace = round(live.launch.grace_seconds)
        # As the API server sets it: when it should be over.
        gone_at = _now() + timedelta(seconds=grace)
        live.view = replace(live.view, ending=end.reason, deleting_at=gone_at, grace_seconds=grace)
        live.process.terminate()
        carriers.create_task(_kill_after(live), name=f"{end.object_name}/end")


def _label(start: StartAttempt) -> str:
    """Return what people call an attempt."""
    return start.node if start.number == 1 else f"{start.node} #{start.number}"


async def _kill_after(live: _Live) -> None:
    try:
        await asyncio.wait_for(live.ended.wait(), live.launch.grace_seconds)
    except TimeoutError:
        live.process.kill()


def _now() -> datetime:
    return utc_now()
