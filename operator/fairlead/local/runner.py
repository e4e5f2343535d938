"""Runs a compiled workflow with local processes: the loop around `plan()`.

It is the operator's loop with the cluster taken out: facts in, commands out, wait for the next fact or `wake_at`.
What a process does is told to the engine the way a pod would tell it (a `PodView`, read by `observe_pod`), so that
ends, time-outs and failures are classified by the very rules that count in a cluster.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fairlead.api.compile import Compiled
from fairlead.api.environment import OUTPUTS, WORKSPACE, identity
from fairlead.engine.classify import PodView, observe_pod
from fairlead.engine.commands import Command, EndAttempt, StartAttempt
from fairlead.engine.events import Event, StartRefused, UserAction
from fairlead.engine.model import ActionKind, FailureClass, Settings, StopMode, WorkKind
from fairlead.engine.plan import begin, plan
from fairlead.engine.state import RunState
from fairlead.local.guard import Guard
from fairlead.local.process import Process
from fairlead.local.requests import Requests
from fairlead.local.sandbox import Cannot, Launch, Sandbox, prepare

__all__ = ["GRACE_SECONDS", "LocalRun"]

#: Between SIGTERM and SIGKILL for tasks that set no `pod.terminationGracePeriodSeconds`. Kubernetes' 30 is for
#: services that drain connections; here somebody sits and waits.
GRACE_SECONDS = 5.0


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
        workdir: an existing directory; each attempt makes its own below it.
        base: the environment that every task begins with.
        on_change: called after each step that changed the state.
    """

    def __init__(
        self,
        compiled: Compiled,
        *,
        settings: Settings,
        uid: str,
        workdir: Path,
        base: Mapping[str, str],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.graph = compiled.graph
        self.settings = settings
        self.stopped = False
        self.state: RunState = begin(
            compiled.graph, uid=uid, name=compiled.name, namespace=compiled.namespace, started_at=_now()
        )
        self.state.recorded_revision = sys.maxsize  # nobody takes this run up again: what is known is on record
        self._workdir = workdir
        self._shared = compiled.workspace is not None
        self._base = base
        self.on_change = on_change
        self._facts: asyncio.Queue[Event | None] = asyncio.Queue()
        self._live: dict[str, _Live] = {}
        self._carriers: set[asyncio.Task[None]] = set()
        self._requests = Requests(self._facts.put_nowait)

    async def execute(self) -> RunState:
        """Run to the end and return the final state. No process is left when this returns or raises."""
        try:
            with Guard() as guard:
                async with asyncio.TaskGroup() as carriers:
                    await self._loop(guard, carriers)
        finally:
            await self._requests.close()
        return self.state

    def stop(self) -> None:
        """Start nothing new and ask what runs to end (SIGTERM); the run then ends as Cancelled."""
        self.stopped = True
        self._facts.put_nowait(None)

    def kill(self) -> None:
        """End every process at once (SIGKILL)."""
        for live in self._live.values():
            live.process.kill()

    def sandbox(self, node: str, number: int) -> Sandbox:
        """Return where an attempt finds its files, and leaves its log."""
        return Sandbox(self._workdir / node / str(number))

    async def _loop(self, guard: Guard, carriers: asyncio.TaskGroup) -> None:
        run, revision, facts = self.state, -1, list[Event]()
        while True:
            now = _now()
            if self.stopped and run.outcome is None and not run.stopping:
                facts.append(self._request_to_stop(now))
            planned = plan(self.graph, run, facts, self.settings, now)
            for command in planned.commands:
                self._carry_out(command, guard, carriers)
            if run.revision != revision:
                revision = run.revision
                self.on_change()
            if run.outcome is not None:
                return
            if planned.wake_at is None and not self._carriers:
                raise RuntimeError(f"the run {run.name!r} cannot get on: nothing runs and nothing is due")
            facts = await self._next_facts(planned.wake_at)

    async def _next_facts(self, wake_at: datetime | None) -> list[Event]:
        """Wait for something to happen, at most until `wake_at`, and return all that has happened."""
        timeout = None if wake_at is None else max(0.0, (wake_at - _now()).total_seconds())
        found: list[Event | None] = []
        with suppress(TimeoutError):
            found.append(await asyncio.wait_for(self._facts.get(), timeout))
        while not self._facts.empty():
            found.append(self._facts.get_nowait())
        return [fact for fact in found if fact is not None]

    def _request_to_stop(self, now: datetime) -> UserAction:
        """Return what a user of a cluster would ask for: end what runs, then `finally`."""
        return UserAction(
            uid=f"{self.state.uid}/stop",
            name="stop",
            kind=ActionKind.STOP,
            created_at=now,
            by="you",
            mode=StopMode.CANCEL,
        )

    def _carry_out(self, command: Command, guard: Guard, carriers: asyncio.TaskGroup) -> None:
        match command:
            case StartAttempt():
                if command.kind is WorkKind.HTTP:
                    carrier = self._requests.start(command, carriers)
                else:
                    carrier = carriers.create_task(self._carry(command, guard), name=command.object_name)
                self._carriers.add(carrier)
                carrier.add_done_callback(self._carriers.discard)
            case EndAttempt() if command.kind is WorkKind.HTTP:
                self._requests.end(command.object_name)
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
            launch = prepare(start.work, sandbox, base=self._base, identity=who, grace_seconds=GRACE_SECONDS)
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
        try:
            exit_code = await process.wait()
        finally:
            del self._live[start.object_name]
            live.ended.set()
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


async def _kill_after(live: _Live) -> None:
    try:
        await asyncio.wait_for(live.ended.wait(), live.launch.grace_seconds)
    except TimeoutError:
        live.process.kill()


def _now() -> datetime:
    return datetime.now(UTC)
