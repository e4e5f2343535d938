"""What a replica does for the groups of buckets that it holds, and stops doing when it does not any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any, Protocol

from fairlead.kube.scope import Following

from .actions import Actions
from .buckets import group_of_key, selector_of
from .concurrency import Concurrency
from .errands import Errands
from .log_keeper import LogKeeper
from .store import WorkflowStore
from .templates import Templates
from .workflow import WorkflowController

__all__ = ["Duties", "RunDuties"]


class Duties(Protocol):
    """What a replica does for the groups that it holds."""

    def begin(self, groups: frozenset[int]) -> None:
        """Take up all runs of some groups, from what is persisted."""
        ...

    def pause(self, groups: frozenset[int]) -> None:
        """Do nothing more for the runs of some groups, which may come back."""
        ...

    def end(self, groups: frozenset[int]) -> None:
        """Do nothing more for the runs of some groups, which are somebody else's from now on."""
        ...

    def finish(self, group: int) -> bool:
        """Bring to an end what nobody else could go on with. Returns whether all of that is done."""
        ...

    async def look_at(self, groups: frozenset[int]) -> None:
        """Follow the objects of some groups and no others. Returns when all that there is was told."""
        ...

    def taken_over(self, groups: int) -> None:
        """Count groups whose holder was dead."""
        ...


class RunDuties:
    """`Duties` of the operator: its runs and templates.

    `notify(uid)` asks for a run to be looked at, `group_of(uid)` tells its group.
    """

    def __init__(
        self,
        informers: Iterable[Following[Any]],
        store: WorkflowStore,
        controller: WorkflowController,
        concurrency: Concurrency,
        errands: Errands,
        actions: Actions,
        templates: Templates,
        logs: LogKeeper | None,
        notify: Callable[[str], None],
        count: Callable[[int], None],
        group_of: Callable[[str], int],
    ) -> None:
        self._group_of = group_of
        self._informers = list(informers)
        self._store = store
        self._controller = controller
        self._concurrency = concurrency
        self._errands = errands
        self._actions = actions
        self._templates = templates
        self._logs = logs
        self._notify = notify
        self._count = count

    def begin(self, groups: frozenset[int]) -> None:
        """See `Duties`."""
        uids = self._uids(groups)
        # Whoever had them may have written what no watch has told us yet.
        self._controller.doubt(uids)
        for uid in uids:
            self._notify(uid)
        self._templates.look_again()
        if self._logs is not None:
            self._logs.look_again()

    def pause(self, groups: frozenset[int]) -> None:
        """See `Duties`."""
        for uid in [uid for uid in self._controller.active if self._group_of(uid) in groups]:
            self._controller.forget(uid)

    def end(self, groups: frozenset[int]) -> None:
        """See `Duties`."""
        self.pause(groups)
        for uid in [uid for uid in self._errands.runs if self._group_of(uid) in groups]:
            self._errands.forget(uid)
        for uid in self._uids(groups):
            self._notify(uid)  # whatever is in mind about it is dropped

    def finish(self, group: int) -> bool:
        """See `Duties`."""
        # A run that was let through: whoever is next with its `concurrencyKey` has to know of it.
        done = not any(group_of_key(*key) == group for key in self._concurrency.passing)
        active = self._controller.active
        sending = [uid for uid, run in active.items() if run.state.unsent]
        for uid in {*self._errands.runs, *sending}:
            if self._group_of(uid) == group:
                done &= self._errands.finish(uid, active.get(uid))
        return done

    async def look_at(self, groups: frozenset[int]) -> None:
        """See `Duties`."""
        selector = selector_of(groups)
        await asyncio.gather(*(informer.refocus(selector) for informer in self._informers))

    def taken_over(self, groups: int) -> None:
        """See `Duties`."""
        self._count(groups)

    def _uids(self, groups: frozenset[int]) -> list[str]:
        """Return the runs of some groups that anything is known of, in the order in which Workflows were heard of."""
        owners = chain.from_iterable(informer.owners() for informer in self._informers)
        workflows = (workflow.uid for workflow in self._store)
        known = dict.fromkeys(chain(workflows, owners, self._actions.runs, self._controller.active))
        return [uid for uid in known if uid and self._group_of(uid) in groups]
