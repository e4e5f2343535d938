import re
from inspect import signature

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fairlead.kube.observer import Observer
from fairlead.telemetry.metrics import Metrics
from fairlead.telemetry.specs import SPECS, MetricSpec, table


class Line:
    """A queue of work, as the metrics see it."""

    workers = 16

    def __init__(self, keys: list[str], seconds: list[float]) -> None:
        self.keys, self.seconds = keys, seconds

    def __len__(self) -> int:
        return len(self.keys)

    def working(self) -> list[float]:
        return self.seconds


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def value(metrics: Metrics, name: str, /, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


class TestWhatIsMeasured:
    def test_a_request_counts_for_us_and_for_existing_dashboards(self, metrics: Metrics) -> None:
        metrics.request_finished(verb="create", resource="pods", code="201", seconds=0.02, sent_bytes=1200)
        metrics.request_finished(verb="list", resource="pods", code="<error>", seconds=5, sent_bytes=0)
        assert value(metrics, "fairlead_api_requests_total", verb="create", resource="pods", code="201") == 1
        assert value(metrics, "fairlead_api_sent_bytes_total", verb="create", resource="pods") == 1200
        assert value(metrics, "rest_client_requests_total", code="201", method="POST") == 1
        assert value(metrics, "rest_client_requests_total", code="<error>", method="GET") == 1
        name = "fairlead_api_request_duration_seconds"
        assert value(metrics, f"{name}_sum", verb="list", resource="pods") == 5

    def test_an_attempt_counts_with_its_class_and_its_times(self, metrics: Metrics) -> None:
        metrics.attempt_ended("user", "Pod", 2.0, 40.0)
        metrics.attempt_ended("infrastructure", "Pod", None, None)
        assert value(metrics, "fairlead_node_attempts_total", **{"class": "user"}) == 1
        assert value(metrics, "fairlead_node_attempts_total", **{"class": "infrastructure"}) == 1
        assert value(metrics, "fairlead_attempt_startup_seconds_sum", kind="Pod") == 2
        assert value(metrics, "fairlead_attempt_startup_seconds_count", kind="Pod") == 1
        assert value(metrics, "fairlead_attempt_duration_seconds_sum", **{"class": "user"}) == 40

    def test_a_run_counts_with_its_duration_if_it_has_begun(self, metrics: Metrics) -> None:
        metrics.run_finished("failed", "TaskFailed", 90.0)
        metrics.run_finished("failed", "InvalidSpec")
        assert value(metrics, "fairlead_runs_finished_total", outcome="failed", reason="InvalidSpec") == 1
        assert value(metrics, "fairlead_run_duration_seconds_count", outcome="failed") == 1

    def test_a_clock_that_is_behind_makes_no_negative_delay(self, metrics: Metrics) -> None:
        metrics.run_started(-0.5)
        assert value(metrics, "fairlead_run_start_delay_seconds_sum") == 0

    @pytest.mark.parametrize("class_", ["succeeded", "infrastructure", "user"])
    def test_what_is_alerted_upon_is_there_before_it_first_happens(self, metrics: Metrics, class_: str) -> None:
        assert value(metrics, "fairlead_node_attempts_total", **{"class": class_}) == 0

    def test_caches_and_queues_are_asked_at_each_scrape(self, metrics: Metrics) -> None:
        staleness = 1.0
        line = Line(["a", "b"], [0.5])
        metrics.ask("fairlead_cache_staleness_seconds", lambda: {("pods",): staleness})
        metrics.watch_queue("workflow", line)
        staleness = 90.0
        line.keys.append("c")
        line.seconds = [3.0, 60.0]
        assert value(metrics, "fairlead_cache_staleness_seconds", resource="pods") == 90
        names = {"name": "workflow", "controller": "workflow"}
        assert value(metrics, "workqueue_depth", **names) == 3
        assert value(metrics, "workqueue_unfinished_work_seconds", **names) == 63
        assert value(metrics, "workqueue_longest_running_processor_seconds", **names) == 60
        assert value(metrics, "controller_runtime_active_workers", controller="workflow") == 2
        assert value(metrics, "controller_runtime_max_concurrent_reconciles", controller="workflow") == 16

    def test_several_may_be_asked_for_one_gauge(self, metrics: Metrics) -> None:
        metrics.ask("fairlead_cache_objects", lambda: {("pods",): 1})
        metrics.ask("fairlead_cache_objects", lambda: {("jobs",): 2})
        assert value(metrics, "fairlead_cache_objects", resource="pods") == 1
        assert value(metrics, "fairlead_cache_objects", resource="jobs") == 2

    def test_one_who_cannot_answer_does_not_keep_the_others_from_it(
        self, metrics: Metrics, caplog: pytest.LogCaptureFixture
    ) -> None:
        metrics.ask("fairlead_cache_objects", lambda: {("pods",): 1 // 0})
        metrics.ask("fairlead_cache_objects", lambda: {("jobs",): 2})
        assert value(metrics, "fairlead_cache_objects", resource="jobs") == 2
        assert "cannot tell fairlead_cache_objects" in caplog.text

    def test_errors_are_defects_the_users_or_an_outage(self, metrics: Metrics) -> None:
        metrics.watch_queue("q", Line([], []))
        metrics.reconcile_error("q", "bug")
        metrics.reconcile_error("q", "transient")
        assert value(metrics, "controller_runtime_reconcile_panics_total", controller="q") == 1
        assert value(metrics, "controller_runtime_terminal_reconcile_errors_total", controller="q") == 0
        metrics.reconcile_error("q", "user")
        assert value(metrics, "controller_runtime_terminal_reconcile_errors_total", controller="q") == 1

    def test_an_error_is_also_an_error_for_controller_runtime(self, metrics: Metrics) -> None:
        metrics.reconciled("workflow", "success", 0.1)
        metrics.reconciled("workflow", "error", 0.1)
        metrics.reconcile_error("workflow", "bug")
        name = "controller_runtime_reconcile"
        assert value(metrics, f"{name}_total", controller="workflow", result="success") == 1
        assert value(metrics, f"{name}_errors_total", controller="workflow") == 1
        assert value(metrics, "fairlead_reconcile_errors_total", controller="workflow", family="bug") == 1

    def test_every_metric_can_be_moved(self, metrics: Metrics) -> None:
        """Nothing is declared that no method touches."""
        metrics.run_finished("succeeded", "Succeeded", 60.0)
        metrics.run_started(1.0)
        metrics.attempt_ended("user", "Pod", 1.0, 1.0)
        metrics.templates.most = 1
        metrics.templates.run_finished("team", "daily", "succeeded", 60.0)
        metrics.templates.attempt_ended("team", "daily", "succeeded", 30.0)
        metrics.plan_took(0.001)
        metrics.hop_took(0.01)
        metrics.request_finished(verb="get", resource="pods", code="200", seconds=0.1, sent_bytes=1)
        metrics.watch_restarted(resource="pods", reason="closed")
        metrics.event_dropped(reason="spam")
        metrics.status_written("shard", 100)
        metrics.run_deleted("ttl")
        metrics.run_archived("written")
        metrics.log_kept("lost")
        metrics.watch_queue("q", Line(["a"], []))
        metrics.queue_added("q")
        metrics.queue_started("q", 0.1)
        metrics.queue_done("q", 0.1)
        metrics.queue_retried("q")
        metrics.reconciled("c", "error", 0.1)
        metrics.reconcile_error("c", "bug")
        metrics.action_answered("Stop", accepted=True)
        metrics.spans_told("sent", 3)
        metrics.admission_answered("Workflow", "refused", 0.01)
        for spec in SPECS:
            if spec.kind == "gauge":
                metrics.ask(spec.name, lambda spec=spec: {("x",) * len(spec.labels): 1.0})  # type: ignore[misc]
        text, _ = metrics.render()
        sampled = {s.name for f in text_string_to_metric_families(text.decode()) for s in f.samples}
        bare = {re.sub(r"_(bucket|count|sum)$", "", name) for name in sampled}
        assert {spec.name for spec in SPECS} <= bare | sampled

    def test_two_processes_worth_of_metrics_do_not_meet(self, metrics: Metrics) -> None:
        Metrics().queue_added("q")
        assert value(metrics, "workqueue_adds_total", name="q", controller="q") is None


class TestTemplates:
    """Templates have series of their own only where they were asked for, and no more than that."""

    def test_none_unless_asked_for(self, metrics: Metrics) -> None:
        metrics.templates.run_finished("team", "daily", "succeeded", 60.0)
        metrics.templates.attempt_ended("team", "daily", "user", 5.0)
        assert "daily" not in metrics.render()[0].decode()

    def test_the_first_ones_and_no_others(self, metrics: Metrics) -> None:
        metrics.templates.most = 2
        for template in ("a", "b", "c", "a"):
            metrics.templates.run_finished("team", template, "succeeded", 60.0)
        name = "fairlead_template_runs_finished_total"
        found = [
            value(metrics, name, namespace="team", template=template, outcome="succeeded")
            for template in ("a", "b", "c")
        ]
        assert found == [2, 1, None]

    def test_one_of_another_namespace_is_another_one(self, metrics: Metrics) -> None:
        metrics.templates.most = 1
        assert metrics.templates.knows("one", "daily")
        assert not metrics.templates.knows("two", "daily")

    def test_what_its_attempts_took(self, metrics: Metrics) -> None:
        metrics.templates.most = 1
        metrics.templates.attempt_ended("team", "daily", "user", 5.0)
        metrics.templates.attempt_ended("team", "daily", "user", None)
        labels = {"namespace": "team", "template": "daily", "class": "user"}
        assert value(metrics, "fairlead_template_attempts_total", **labels) == 2
        assert value(metrics, "fairlead_template_attempt_seconds_total", **labels) == 5


class TestConventions:
    """Prometheus' naming rules (prometheus.io/docs/practices/naming)."""

    @pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
    def test_names(self, spec: MetricSpec) -> None:
        prefixes = ("fairlead_", "workqueue_", "controller_runtime_", "rest_client_", "leader_election_")
        assert spec.name.startswith(prefixes)
        assert spec.name.endswith("_total") == (spec.kind == "counter")
        assert bool(spec.buckets) == (spec.kind == "histogram")
        assert spec.kind != "histogram" or spec.name.endswith("_seconds")
        assert spec.help.endswith(".")
        names = {"workflow", "namespace", "pod", "task", "run", "template"}
        assert spec.name.startswith("fairlead_template_") == bool(names & set(spec.labels)), "unbounded"

    def test_names_are_unique(self) -> None:
        assert len({spec.name for spec in SPECS}) == len(SPECS)


def test_the_exposition_can_be_scraped(metrics: Metrics) -> None:
    body, content_type = metrics.render()
    assert content_type.startswith("text/plain")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert families["fairlead_build_info"].samples[0].value == 1
    assert "process_resident_memory_bytes" in families
    assert "_created" not in body.decode()


def test_the_table_has_a_row_for_each() -> None:
    rows = table().splitlines()
    assert len(rows) == len(SPECS) + 2
    meaning = "Runs that have not begun, by what they wait for."
    assert f"| `fairlead_runs_waiting` | gauge | `reason` | Workflow | {meaning} |" in rows


@pytest.mark.parametrize("name", ["request_finished", "watch_restarted", "event_dropped"])
def test_it_can_observe_the_kube_package(name: str) -> None:
    """The two packages do not know each other: that they fit is checked here."""
    assert signature(getattr(Metrics, name)) == signature(getattr(Observer, name))
