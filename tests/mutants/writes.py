"""S8 to S10: what is written, to whose objects, and how often."""

from __future__ import annotations

from .mutant import Mutant

__all__ = ["MUTANTS"]

_CONTROLLERS = "tests/unit/controllers"
_KUBE = "tests/unit/kube"
_STATUS = "tests/unit/controllers/test_status.py"

MUTANTS = (
    Mutant(
        invariant="S8",
        name="delete-without-uid",
        broken="A delete takes whatever has the name by now.",
        file="kube/transport.py",
        old='        preconditions = {"uid": uid}\n',
        new="        preconditions: JsonObject = {}\n",
        caught_by=(f"{_KUBE}/test_transport.py::TestWhatIsSent::test_a_delete_names_the_uid",),
    ),
    Mutant(
        invariant="S8",
        name="wipes-finalizers",
        broken="Taking our finalizer off a pod takes those of others off, too.",
        file="kube/finalizers.py",
        old='"$deleteFromPrimitiveList/finalizers": [finalizer]}',
        new='"finalizers": None}',
        caught_by=(
            f"{_KUBE}/test_finalizers.py::TestBuiltIn::test_release",
            f"{_CONTROLLERS}/test_cleanup.py::test_finalizers_of_others_stay",
        ),
    ),
    Mutant(
        invariant="S8",
        name="releases-a-namesake",
        broken="A release takes the finalizer off another object of the same name.",
        file="kube/finalizers.py",
        old='    metadata: JsonObject = {"uid": uid, ',
        new="    metadata: JsonObject = {",
        caught_by=(f"{_KUBE}/test_finalizers.py::TestBuiltIn::test_release",),
    ),
    Mutant(
        invariant="S8",
        name="writes-the-whole-object",
        broken="The status is written by way of the object itself, whose spec is the user's.",
        file="controllers/writer.py",
        old='                subresource="status",\n',
        new="",
        caught_by=(f"{_CONTROLLERS}/test_writer.py::test_of_a_workflow_only_the_status_is_written",),
    ),
    Mutant(
        invariant="S8",
        name="any-owner-will-do",
        broken="An object that names our run as an owner, and another one as its controller, is taken for ours.",
        file="kube/informer.py",
        old='        if reference.get("controller"):\n',
        new="        if reference:\n",
        caught_by=(f"{_KUBE}/test_informer.py::TestIndex::test_the_controller_is_the_owner",),
    ),
    Mutant(
        invariant="S8",
        name="other-namespaces",
        broken="A pod of another namespace that names our run as its owner is taken for ours, and released.",
        file="controllers/gather.py",
        old="    return {(kind, key): view for (kind, key), view in views.items()"
        " if key.namespace == run.owner.namespace}\n",
        new="    return views\n",
        caught_by=(f"{_CONTROLLERS}/test_gather.py::test_a_pod_of_another_namespace_is_no_attempt",),
    ),
    Mutant(
        invariant="S9",
        name="time-of-every-write",
        broken="The transition time of a condition is that of the last write.",
        file="controllers/status.py",
        old='    changed_at = before["lastTransitionTime"] if before.get("status") == value else text_of(now)\n',
        new="    changed_at = text_of(now)\n",
        caught_by=(f"{_STATUS}::test_times_of_conditions_that_do_not_change_stay",),
    ),
    Mutant(
        invariant="S9",
        name="time-of-the-message",
        broken="A new message alone moves the transition time of a condition.",
        file="controllers/status.py",
        old='if before.get("status") == value else',
        new='if (before.get("status"), before.get("message")) == (value, message) else',
        caught_by=(f"{_STATUS}::test_a_message_alone_moves_no_time",),
    ),
    Mutant(
        invariant="S9",
        name="time-never-moves",
        broken="The transition time of a condition stays although its status changes.",
        file="controllers/status.py",
        old='if before.get("status") == value else',
        new="if before else",
        caught_by=(f"{_STATUS}::test_times_of_conditions_that_change_move",),
    ),
    Mutant(
        invariant="S9",
        name="claims-to-have-seen",
        broken="A status says that it is about a generation that the controller has heard of and not looked at yet.",
        file="controllers/writer.py",
        old="            generation=run.generation,\n            previous=run.written,\n",
        new="            generation=getattr(self._store.get(run.uid), 'generation', run.generation),\n"
        "            previous=run.written,\n",
        caught_by=(f"{_CONTROLLERS}/test_writer.py::test_a_generation_counts_as_observed_when_it_was_planned_by",),
    ),
    Mutant(
        invariant="S9",
        name="of-a-finished-run",
        broken="An edit of a finished run is never shown as observed.",
        file="controllers/cleanup.py",
        old='        if workflow.status.get("observedGeneration") != workflow.generation:\n',
        new="        if False:\n",
        caught_by=(f"{_CONTROLLERS}/test_cleanup.py::test_an_edit_of_a_run_that_is_over_is_observed_and_no_more",),
    ),
    Mutant(
        invariant="S10",
        name="writes-what-is-there",
        broken="A status that says nothing new is written all the same.",
        file="controllers/status.py",
        old="    if not changed and not gone:\n        return []\n",
        new="",
        caught_by=(f"{_STATUS}::test_no_change_is_no_write",),
    ),
    Mutant(
        invariant="S10",
        name="restless-engine",
        broken="A fact that is told again counts as news.",
        file="engine/observe.py",
        old="    attempt.created, attempt.held = True, seen.held\n",
        new="    attempt.created, attempt.held = True, seen.held\n    p.run.touch(state)\n",
        caught_by=(
            "tests/unit/engine/test_observe.py::test_the_same_fact_again_is_no_news",
            "tests/property/test_invariants_bite.py::test_the_engine_as_it_is",
        ),
    ),
    Mutant(
        invariant="S10",
        name="status-with-a-clock",
        broken="The status shows the time at which it was written, so that it differs each time.",
        file="controllers/status.py",
        old='        "message": message[:MESSAGE_CHARACTERS],\n        "progress":',
        new='        "message": f"{message} at {now}"[:MESSAGE_CHARACTERS],\n        "progress":',
        caught_by=(f"{_STATUS}::test_a_world_at_rest_changes_no_status",),
    ),
    Mutant(
        invariant="S10",
        name="entries-that-are-the-same",
        broken="An entry of a shard that is as it was is written again.",
        file="controllers/ledger.py",
        old="            if known == entry:\n",
        new="            if False:\n",
        caught_by=(f"{_CONTROLLERS}/test_ledger.py::test_an_entry_that_is_the_same_is_no_change",),
    ),
)
