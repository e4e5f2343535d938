"""History limits, times to live and the archive under faults: see `lifecycle.py`."""

from __future__ import annotations

import pytest
from tests.sim.lifecycle import lived

from fairlead.controllers import expiry
from fairlead.controllers.archiver import Archiver
from fairlead.engine import history
from fairlead.engine.history import HistoryLimits


#: With an even seed there is one operator, with an odd one there are two.
@pytest.mark.parametrize("seed", [0, 2, 4, 5, 6])
def test_none_is_deleted_that_is_active_or_not_archived_and_all_are_that_are_due(seed: int) -> None:
    life = lived(seed)
    assert life.wrong == []
    assert len(life.deleted) >= 5, "too little was to be deleted to say anything"


def finds(words: str) -> bool:
    """Whether one of some seeds is found wrong in this way."""
    return any(words in wrong for seed in (0, 2, 4) for wrong in lived(seed).wrong)


class TestItBites:
    """The judge of these runs notices an operator that is broken in one place."""

    def test_one_that_does_not_wait_for_the_archive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        original = Archiver.has

        def has(self: Archiver, workflow: object) -> bool:
            original(self, workflow)  # type: ignore[arg-type]
            return True

        monkeypatch.setattr(Archiver, "has", has)
        assert finds("was deleted before it was archived")

    def test_one_that_keeps_one_fewer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        of = HistoryLimits.of
        monkeypatch.setattr(
            HistoryLimits, "of", lambda self, ok: None if (limit := of(self, ok)) is None else max(0, limit - 1)
        )
        with monkeypatch.context() as patched:
            patched.setattr("tests.sim.lifecycle.NAMESPACE_LIMITS", _Honest(5, 3))
            patched.setattr("tests.sim.lifecycle.TEMPLATE_LIMITS", _Honest(2, None))
            assert finds("was deleted and was neither expired nor too many")

    def test_one_that_keeps_the_oldest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        original = history.surplus

        def surplus(ended, *limits):  # type: ignore[no-untyped-def]
            runs = list(ended)
            first = min((run.finished_at for run in runs), default=None)
            turned = [
                history.Ended(
                    uid=run.uid,
                    namespace=run.namespace,
                    template=run.template,
                    succeeded=run.succeeded,
                    finished_at=first - (run.finished_at - first),
                )
                for run in runs
                if first is not None
            ]
            return original(turned, *limits)

        monkeypatch.setattr("fairlead.controllers.history.surplus", surplus)
        assert finds("was deleted and was neither expired nor too many")

    def test_one_that_never_deletes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(expiry, "judge", lambda **_: history.Verdict())
        assert finds("was not deleted")
        assert finds("is one too many")


class _Honest(HistoryLimits):
    """Limits that say what they are."""

    def of(self, succeeded: bool) -> int | None:
        return self.succeeded if succeeded else self.failed
