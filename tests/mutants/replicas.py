"""S12 and S13: another controller at work, and a view of the world that is older than it seems."""

from __future__ import annotations

from .mutant import Mutant

__all__ = ["MUTANTS"]

_CONTROLLERS = "tests/unit/controllers"
_INFORMER = "tests/unit/kube/test_informer.py"
_OBSERVE = "tests/unit/engine/test_observe.py"
_REPLICAS = "tests/unit/controllers/test_replicas.py"
_AT_WORK = "tests/unit/controllers/test_replicas_at_work.py"
_KEYS = "tests/unit/controllers/test_replicas_and_keys.py"
_TWO = "tests/unit/controllers/test_two_operators.py"

MUTANTS = (
    Mutant(
        invariant="S12",
        name="overwrites",
        broken="A status is written over that of another controller.",
        file="controllers/writer.py",
        old='            {"op": "replace", "path": "/metadata/resourceVersion", "value": str(version)},\n',
        new="",
        caught_by=(f"{_CONTROLLERS}/test_writer.py::test_another_controllers_status_is_not_overwritten",),
    ),
    Mutant(
        invariant="S12",
        name="undoes-what-is-recorded",
        broken="Shards are rid of an action that another controller is putting on record.",
        file="controllers/writer.py",
        old="            if run.ledger.undoes:\n",
        new="            if False:\n",
        caught_by=(
            f"{_CONTROLLERS}/test_shard_actions.py::test_another_operator_undoes_nothing_that_is_being_put_on_record",
        ),
    ),
    Mutant(
        invariant="S12",
        name="ends-what-it-does-not-know",
        broken="A pod of an epoch that another controller has begun is taken for one too many, and ended.",
        file="engine/observe.py",
        old="    if revision <= p.run.recorded_revision:\n",
        new="    if True:\n",
        caught_by=(
            f"{_OBSERVE}::test_a_stray_is_left_alone_until_it_is_on_record_that_it_does_not_count",
            "tests/sim/test_campaign.py::test_what_was_found_once_is_not_found_again",
        ),
    ),
    Mutant(
        invariant="S12",
        name="does-not-fit",
        broken="A shard that another controller has changed is patched in vain for ever.",
        file="controllers/shards.py",
        old="            except (AlreadyExists, Conflict, Invalid) as error:\n",
        new="            except (AlreadyExists, Conflict) as error:\n",
        caught_by=(
            f"{_CONTROLLERS}/test_shards.py::test_one_that_our_patch_does_not_fit_any_more_is_another_controllers",
        ),
    ),
    Mutant(
        invariant="S12",
        name="ended-twice",
        broken="A pod is deleted right after its end was recorded, because its deletion was asked for before.",
        file="controllers/apply.py",
        old="                if not self._is_over(run, end):\n",
        new="                if True:\n",
        caught_by=(f"{_CONTROLLERS}/test_apply.py::test_one_that_ends_by_itself_meanwhile_is_kept_like_any_other",),
    ),
    Mutant(
        invariant="S12",
        name="the-other-one-was-faster",
        broken="A pod that another controller has created for our attempt counts as a failure of its task.",
        file="controllers/start.py",
        old="            except AlreadyExists:\n                fact = await creator.find(run, start)\n",
        new="            except AlreadyExists:\n"
        "                fact = name_conflict(start, start.kind.value, start.object_name)\n",
        caught_by=(f"{_TWO}::test_each_attempt_is_created_once_and_the_run_ends_as_it_should",),
    ),
    Mutant(
        invariant="S12",
        name="removed-too-early",
        broken="A finished pod is deleted before every controller that has lost touch has noticed.",
        file="api/retention.py",
        old="LEAST_SECONDS = 45\n",
        new="LEAST_SECONDS = 0\n",
        caught_by=(
            f"{_CONTROLLERS}/test_retention.py::test_for_how_long_pods_are_kept",
            f"{_CONTROLLERS}/test_retention.py::test_what_came_due_while_the_operator_was_away_stays_for_the_lease_times",
        ),
    ),
    Mutant(
        invariant="S12",
        name="believes-itself",
        broken="After a conflict the run goes on by what this controller remembers, not by what the other one wrote.",
        file="controllers/writer.py",
        old='        if raw["metadata"]["uid"] != run.uid or known is None:\n',
        new='        if raw["metadata"]["uid"] != run.uid:\n',
        caught_by=(f"{_CONTROLLERS}/test_writer.py::test_another_controllers_status_is_not_overwritten",),
    ),
    Mutant(
        invariant="S12",
        name="past-the-deadline",
        broken="A replica that was held up past its lease goes on when it wakes up, though others act for its runs.",
        file="controllers/buckets.py",
        old="        return self._clock() < self.deadline\n",
        new="        return True\n",
        caught_by=(
            f"{_AT_WORK}::test_a_holder_that_was_held_up_and_wakes_up_creates_nothing",
            "tests/sim/test_campaign.py::test_one_that_was_held_up_writes_nothing_that_counts",
        ),
    ),
    Mutant(
        invariant="S12",
        name="what-waits-is-written",
        broken="What has waited for a slot until the lease was over is written all the same.",
        file="controllers/buckets.py",
        old="            if not self.count or self.term != term:\n",
        new="            if False:\n",
        caught_by=(f"{_CONTROLLERS}/test_not_held.py::test_whatever_is_about_to_be_written_past_the_deadline_is_not",),
    ),
    Mutant(
        invariant="S12",
        name="what-waits-outlives-a-loss",
        broken="What has waited for a slot while everything was lost is written by a replica that has come back.",
        file="controllers/buckets.py",
        old="            if not self.count or self.term != term:\n",
        new="            if not self.count:\n",
        caught_by=(f"{_CONTROLLERS}/test_not_held.py::test_what_waited_through_a_loss_is_not_written_afterwards",),
    ),
    Mutant(
        invariant="S12",
        name="handed-over-in-doubt",
        broken="A run is handed over while the end of a request that is sent once is not on record.",
        file="controllers/errands.py",
        old="                done &= errand.is_over and run is not None and errand.is_recorded(run)\n",
        new="                done &= errand.is_over\n",
        caught_by=(
            f"{_CONTROLLERS}/test_errands.py::TestHandingOver::test_until_the_end_of_what_cannot_is_on_record",
            f"{_CONTROLLERS}/test_podless.py::TestRestarts::test_it_is_handed_over_with_its_end_on_record",
        ),
    ),
    Mutant(
        invariant="S12",
        name="handed-over-with-a-key",
        broken="A key is handed over while the start of a run that holds it is not on record.",
        file="controllers/duties.py",
        old="        done = not any(group_of_key(*key) == group for key in self._concurrency.passing)\n",
        new="        done = True\n",
        caught_by=(f"{_CONTROLLERS}/test_concurrency.py::test_a_key_is_not_handed_over_with_a_run_on_its_way",),
    ),
    Mutant(
        invariant="S12",
        name="taken-without-eviction",
        broken="The groups of a member that seems dead are taken without making sure that it learns of it.",
        file="controllers/replicas.py",
        old='                await self._leases.write(lease, "")\n            except (Conflict, NotFound):\n'
        "                live.add(lease.holder)",
        new="                pass\n            except (Conflict, NotFound):\n                live.add(lease.holder)",
        caught_by=(
            f"{_REPLICAS}::test_one_that_is_cut_off_stops_before_the_other_begins_and_comes_back_as_another_one",
        ),
    ),
    Mutant(
        invariant="S12",
        name="nobody-seems-to-hold-it",
        broken="A group whose Lease was deleted is taken at once, by whoever it belongs to now.",
        file="controllers/replicas.py",
        old="        noticed = self._torn_away_at + LEASE_SECONDS\n",
        new="        return -1.0\n",
        caught_by=(f"{_REPLICAS}::test_nobody_else_takes_a_group_without_a_lease_before_its_holder_must_have_noticed",),
    ),
    Mutant(
        invariant="S12",
        name="deaf-to-the-loss",
        broken="A replica whose watch is deaf goes on with a group whose Lease was deleted.",
        file="controllers/replicas.py",
        old="        self._drop_what_is_not_ours(held, stored)\n",
        new="",
        caught_by=(f"{_REPLICAS}::test_a_holder_whose_watch_is_deaf_finds_out_by_its_renewal",),
    ),
    Mutant(
        invariant="S12",
        name="a-key-in-two-hands",
        broken="Each replica decides by itself which of the runs with a key that it has heard of may start.",
        file="controllers/buckets.py",
        old="        return self.count and group_of_key(namespace, key) in self.groups\n",
        new="        return self.count\n",
        caught_by=(f"{_KEYS}::test_runs_of_several_keys_are_shared_and_each_key_is_in_one_hand",),
    ),
    Mutant(
        invariant="S12",
        name="starts-unheard-of",
        broken="A key is decided on by a replica that has not heard of all starts with it by the one before.",
        file="controllers/workflow.py",
        old="                await self._cleaner.catch_up()\n",
        new="                pass\n",
        caught_by=(f"{_KEYS}::test_whoever_takes_a_key_over_knows_of_starts_that_no_watch_has_told",),
    ),
    Mutant(
        invariant="S13",
        name="older-reports-count",
        broken="A report about a Workflow that is older than what is known takes its place.",
        file="controllers/store.py",
        old="return known if known is not None and known.version >= version else None",
        new="return None",
        caught_by=(f"{_CONTROLLERS}/test_store.py::test_the_newest_report_counts_in_whatever_order_they_come",),
    ),
    Mutant(
        invariant="S13",
        name="back-from-the-dead",
        broken="A late report brings a deleted Workflow back.",
        file="controllers/store.py",
        old="        if workflow.uid in self._removed:\n",
        new="        if False:\n",
        caught_by=(f"{_CONTROLLERS}/test_store.py::test_what_is_gone_does_not_come_back_by_a_late_report",),
    ),
    Mutant(
        invariant="S13",
        name="older-list",
        broken="A list from a server that lags behind takes objects away that exist.",
        file="kube/informer.py",
        old="        if self._stale_lists <= _STALE_LISTS_BEFORE_REWIND:\n",
        new="        if False:\n",
        caught_by=(f"{_INFORMER}::TestExpiredHistory::test_an_older_list_than_what_was_seen_is_not_believed",),
    ),
    Mutant(
        invariant="S13",
        name="replayed-events",
        broken="Events that a watch tells again take the copy back in time.",
        file="kube/informer.py",
        old='        if number and number <= self._seen and kind != "BOOKMARK":\n            return  # told again\n',
        new="",
        caught_by=(f"{_INFORMER}::TestResume::test_events_told_again_change_nothing",),
    ),
    Mutant(
        invariant="S13",
        name="gone-without-asking",
        broken="A pod that has left the view is taken for gone without asking for it.",
        file="controllers/gather.py",
        old="            if await self._informers[kind].confirm_gone(key, uid):\n                return True\n",
        new="            if self._informers[kind].get(key) is None:\n                return True\n",
        caught_by=(f"{_CONTROLLERS}/test_gather.py::test_a_pod_whose_labels_were_taken_off_is_labelled_again",),
    ),
)
