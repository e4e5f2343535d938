"""What the simulation has to find by itself, under faults: secrets, sizes, time limits, rest."""

from __future__ import annotations

from .mutant import Mutant

__all__ = ["MUTANTS"]

_SECRETS = "tests/sim/test_beside.py::test_no_secret_is_told"
_REST = "tests/sim/test_beside.py::test_at_rest_next_to_nothing_is_done"
_CLOCKS = "tests/sim/test_beside.py::test_time_limits_act_when_they_are_due"
_UNREADABLE = "tests/sim/test_strikes.py::test_runs_end_as_they_should_although_nothing_could_be_read_for_a_while"
_GONE = "tests/sim/test_beside.py::test_a_pod_that_ends_well_although_it_was_to_go_has_succeeded"
_SIZES = "tests/sim/test_beside.py::test_what_is_on_record_fits"

MUTANTS = (
    Mutant(
        invariant="S10",
        name="looked-at-each-second",
        broken="A run that is over is looked at each second, although nothing is written.",
        file="controllers/workflow.py",
        old="                return await self._cleaner.finished(workflow)\n",
        new="                return await self._cleaner.finished(workflow) or 1.0\n",
        caught_by=(_REST,),
    ),
    Mutant(
        invariant="S10",
        name="watched-anew",
        broken="Each watch is opened anew every two seconds.",
        file="kube/informer.py",
        old="        server_timeout: float = 60.0,\n",
        new="        server_timeout: float = 2.0,\n",
        caught_by=(_REST,),
    ),
    Mutant(
        invariant="S4",
        name="succeeded-too-late",
        broken="A pod that ends well within its grace period, after it was asked to go, counts as failed.",
        file="engine/classify.py",
        old='    if pod.exit_code == 0 or (pod.phase == "Succeeded" and pod.exit_code is None):\n',
        new='    if pod.deleting_at is None and (pod.exit_code == 0 or pod.phase == "Succeeded"):\n',
        caught_by=(_GONE,),
    ),
    Mutant(
        invariant="L3",
        name="ends-with-its-rights",
        broken="What may not be listed or watched for a moment is never asked for again.",
        file="kube/informer.py",
        old="                if error.status and self._failures >= _FAILURES_BEFORE_LIST:\n",
        new="                if isinstance(error, Forbidden):\n                    await asyncio.Event().wait()\n"
        "                if error.status and self._failures >= _FAILURES_BEFORE_LIST:\n",
        caught_by=(_UNREADABLE,),
    ),
    Mutant(
        invariant="L5",
        name="minutes-late",
        broken="A time limit is looked at three minutes after it has passed, unless something else happens.",
        file="controllers/workflow.py",
        old="            due = min(due, max(0.0, (planned.wake_at - now).total_seconds()))\n",
        new="            due = min(due, max(0.0, (planned.wake_at - now).total_seconds() + 180))\n",
        caught_by=(_CLOCKS,),
    ),
    Mutant(
        invariant="S15",
        name="never-outgrown",
        broken="The tasks of a run stay in its Workflow, however many bytes they have.",
        file="controllers/writer.py",
        old='            if len(orjson.dumps(summary["tasks"])) > INLINE_BYTES:\n',
        new="            if False:\n",
        caught_by=(_SIZES,),
    ),
    Mutant(
        invariant="S17",
        name="log-of-secrets",
        broken="What was read from Secrets is logged, on the last level.",
        file="controllers/http_task.py",
        old='        errand.waits("", "")\n',
        new='        errand.waits("", "")\n        log.debug("read %s", values)\n',
        caught_by=(_SECRETS,),
    ),
    Mutant(
        invariant="S17",
        name="answer-as-it-came",
        broken="The answer that a request failed with is shown as it came, with the Secret that the server repeats.",
        file="egress/request.py",
        old="        secrets = sorted(self.secrets, key=len, reverse=True)\n",
        new="        secrets: list[str] = []\n",
        caught_by=(_SECRETS,),
    ),
)
