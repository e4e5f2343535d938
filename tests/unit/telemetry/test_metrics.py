import re
from inspect import signature

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fairlead.kube.observer import Observer
from fairlead.telemetry.metrics import SPECS, Metrics, MetricSpec, table


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

    def test_a_phase_no_longer_mentioned_has_no_runs(self, metrics: Metrics) -> None:
        metrics.runs({"Running": 3, "Pending": 1})
        metrics.runs({"Running": 2})
        assert value(metrics, "fairlead_runs", phase="Running") == 2
        assert value(metrics, "fairlead_runs", phase="Pending") == 0

    def test_caches_and_queues_are_asked_at_each_scrape(self, metrics: Metrics) -> None:
        staleness, depth = 1.0, 4
        metrics.watch_cache("pods", lambda: staleness, lambda: 10)
        metrics.queue_depth("workflow", lambda: depth)
        staleness, depth = 90.0, 5
        assert value(metrics, "fairlead_cache_staleness_seconds", resource="pods") == 90
        assert value(metrics, "fairlead_cache_objects", resource="pods") == 10
        assert value(metrics, "workqueue_depth", name="workflow", controller="workflow") == 5

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
        metrics.run_finished("succeeded", "AllSucceeded")
        metrics.runs({"Running": 1})
        metrics.node_attempt("user")
        metrics.plan_took(0.001)
        metrics.hop_took(0.01)
        metrics.request_finished(verb="get", resource="pods", code="200", seconds=0.1, sent_bytes=1)
        metrics.watch_restarted(resource="pods", reason="closed")
        metrics.watch_cache("pods", lambda: 0, lambda: 0)
        metrics.namespace_served("team-a", lambda: True)
        metrics.certificate_expiry(lambda: 0.0)
        metrics.event_dropped(reason="spam")
        metrics.status_written("shard", 100)
        metrics.queue_depth("q", lambda: 0)
        metrics.queue_added("q")
        metrics.queue_started("q", 0.1)
        metrics.queue_done("q", 0.1)
        metrics.queue_retried("q")
        metrics.reconciled("c", "error", 0.1)
        metrics.reconcile_error("c", "bug")
        metrics.action_answered("Stop", accepted=True)
        metrics.admission_answered("Workflow", "refused", 0.01)
        text, _ = metrics.render()
        sampled = {s.name for f in text_string_to_metric_families(text.decode()) for s in f.samples}
        bare = {re.sub(r"_(bucket|count|sum)$", "", name) for name in sampled}
        assert {spec.name for spec in SPECS} <= bare | sampled

    def test_two_processes_worth_of_metrics_do_not_meet(self, metrics: Metrics) -> None:
        Metrics().queue_added("q")
        assert value(metrics, "workqueue_adds_total", name="q", controller="q") is None


class TestConventions:
    """Prometheus' naming rules (prometheus.io/docs/practices/naming)."""

    @pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
    def test_names(self, spec: MetricSpec) -> None:
        prefixes = ("fairlead_", "workqueue_", "controller_runtime_", "rest_client_")
        assert spec.name.startswith(prefixes)
        assert spec.name.endswith("_total") == (spec.kind == "counter")
        assert bool(spec.buckets) == (spec.kind == "histogram")
        assert spec.kind != "histogram" or spec.name.endswith("_seconds")
        assert spec.help.endswith(".")
        assert not {"workflow", "namespace", "pod", "task", "run"} & set(spec.labels), "unbounded"

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
    assert "| `fairlead_runs` | gauge | `phase` | Runs that this replica acts for, by phase. |" in rows


@pytest.mark.parametrize("name", ["request_finished", "watch_restarted", "event_dropped"])
def test_it_can_observe_the_kube_package(name: str) -> None:
    """The two packages do not know each other: that they fit is checked here."""
    assert signature(getattr(Metrics, name)) == signature(getattr(Observer, name))
