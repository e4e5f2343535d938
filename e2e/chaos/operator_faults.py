"""Faults of the operator itself: it is killed, there are two of it, it loses its rights."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial

from e2e.chaos.effects import asked_by, refused, written_by
from e2e.chaos.rights import Account
from e2e.chaos.scene import Scene, say
from e2e.chaos.schedule import lives
from e2e.chaos.trial import Trial
from e2e.chaos.workload import large, mixed

__all__ = ["killed", "rights_revoked", "two_operators"]

#: Seconds that an operator lives at most.
_LONGEST = 3.0


def killed(trial: Trial) -> None:
    """SIGKILL of the operator at random times; the next one is started at once."""
    keeper = trial.keeper()
    scene = trial.scene(keeper)
    scene.play(mixed())
    batch = 1
    for number, life in enumerate(lives(trial.chosen, trial.kills, _LONGEST), 1):
        keeper.start(ready=life.once_ready)
        scene.pause(life.seconds)
        keeper.kill()
        trial.row.times += 1
        if number % 10 == 0:
            say(f"{trial.row.fault}: {number} of {trial.kills} kills, {scene.progress()}")
        if not scene.step() and number < trial.kills:
            batch += 1
            say(f"{trial.row.fault}: all runs have ended after {number} kills: another workload")
            scene.play(mixed(f"-{batch}"))
    keeper.start()
    trial.settle(scene)


def two_operators(trial: Trial) -> None:
    """Two operators serve everything at the same time, from the beginning of a workload to its end."""
    with ExitStack() as stack:
        # By an account of its own the audit log tells one from the other.
        accounts = [stack.enter_context(Account(trial.cluster, f"fairlead-chaos-{name}")) for name in ("a", "b")]
        keepers = [trial.keeper(account.cluster(trial.folder)) for account in accounts]
        scene = trial.scene(*keepers)
        for keeper in keepers:
            keeper.start()
        trial.struck("two operators are ready")
        scene.play(mixed(depth=10))
        trial.settle(scene)
        _check_rivals(trial, scene, [account.user for account in accounts])
        trial.stop()


def rights_revoked(trial: Trial) -> None:
    """The operator, under the account that the chart gives it, loses rights in mid-run and gets them back."""
    scene = trial.scene()
    with Account(trial.cluster) as account:
        keeper = trial.keeper(account.cluster(trial.folder))
        scene.keepers = (keeper,)
        keeper.start()
        scene.play(mixed(depth=10))
        _revoke(trial, scene, account, "all rights", account.unbind)
        for what, resource, verbs in (
            ("the right to create and change pods", "pods", ("create", "patch", "delete")),
            ("the right to write statuses", "workflows/status", ("patch",)),
        ):
            _revoke(trial, scene, account, what, partial(account.without, resource, *verbs), resource)
        # The shards of the first large run have been written by now.
        scene.play([large("sharded", items=120)])
        what, resource = "the right to write shards", "taskstatusshards"
        _revoke(trial, scene, account, what, partial(account.without, resource, "create", "patch"), resource)
        trial.settle(scene)
        trial.stop()


def _revoke(trial: Trial, scene: Scene, account: Account, what: str, take: Callable[[], None], *resource: str) -> None:
    """Take a right for some seconds; writes of that resource have to be refused meanwhile."""
    scene.pause(trial.chosen.uniform(3, 6))
    begin = datetime.now(UTC)
    take()
    trial.struck(f"{what} revoked ({scene.progress()})")
    scene.pause(trial.chosen.uniform(8, 14))
    account.restore()
    count = refused(scene.audit.all_of(scene.namespace), account.user, (begin, datetime.now(UTC)), resource)
    say(f"{trial.row.fault}: given back; {count} writes were refused meanwhile")
    trial.check(count, f"nothing was refused without {what}: it proves nothing")


def _check_rivals(trial: Trial, scene: Scene, users: list[str]) -> None:
    """Both operators have written, and asked for the same pods: else there was but one."""
    entries = scene.audit.all_of(scene.namespace)
    writes = [written_by(entries, user) for user in users]
    both = frozenset.intersection(*(asked_by(entries, user) for user in users))
    say(f"{trial.row.fault}: {' and '.join(map(str, writes))} writes, {len(both)} pods asked for by both")
    trial.check(all(writes), f"only one of the operators has written ({writes}): it proves nothing")
    trial.check(both, "no pod was asked for by both operators: it proves nothing")
