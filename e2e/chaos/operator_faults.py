"""Faults of the operator itself: it is killed, there are two of it, it loses its rights."""

from __future__ import annotations

from e2e.chaos.rights import Account
from e2e.chaos.scene import say
from e2e.chaos.schedule import lives
from e2e.chaos.trial import Trial
from e2e.chaos.workload import mixed

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
    keepers = (trial.keeper(), trial.keeper())
    scene = trial.scene(*keepers)
    for keeper in keepers:
        keeper.start()
    trial.struck("two operators are ready")
    scene.play(mixed(depth=10))
    trial.settle(scene)


def rights_revoked(trial: Trial) -> None:
    """The operator, under the account that the chart gives it, loses rights in mid-run and gets them back."""
    scene = trial.scene()
    account = Account(trial.cluster)
    try:
        keeper = trial.keeper(account.cluster(trial.folder))
        scene.keepers = (keeper,)
        keeper.start()
        scene.play(mixed(depth=10))
        for what, take in (
            ("all rights", account.unbind),
            ("the right to create and change pods", lambda: account.without("pods", "create", "patch", "delete")),
            ("the right to write statuses", lambda: account.without("workflows/status", "patch")),
            ("the right to write shards", lambda: account.without("taskstatusshards", "create", "patch")),
        ):
            scene.pause(trial.chosen.uniform(3, 6))
            take()
            trial.struck(f"{what} revoked ({scene.progress()})")
            scene.pause(trial.chosen.uniform(8, 14))
            account.restore()
            say(f"{trial.row.fault}: given back")
        trial.settle(scene)
        wrong = keeper.stop()
        trial.check(not wrong, wrong)
    finally:
        account.remove()
