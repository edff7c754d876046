"""The table of metrics: the collectors, the document and the exposition say the same."""

from __future__ import annotations

import re
from typing import get_type_hints

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gantry.common.telemetry.metrics import METRICS, Metrics, metrics_as_markdown

KINDS = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}


def test_a_metric_is_an_attribute_of_its_kind() -> None:
    hints = get_type_hints(Metrics)
    assert set(hints) == {metric.attribute for metric in METRICS}
    metrics = Metrics()
    for metric in METRICS:
        assert hints[metric.attribute] is KINDS[metric.kind]
        assert isinstance(getattr(metrics, metric.attribute), KINDS[metric.kind])


def test_names_are_there_once_and_are_names_of_prometheus() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    for metric in METRICS:
        assert re.fullmatch(r"gantry_[a-z][a-z0-9_]*[a-z0-9]", metric.name)
        assert not metric.name.endswith("_total")  # the exposition adds it
        assert all(re.fullmatch(r"[a-z][a-z0-9_]*", label) for label in metric.labels)


def test_known_values_are_as_many_as_labels() -> None:
    for metric in METRICS:
        assert all(len(values) == len(metric.labels) for values in metric.known), metric.attribute
        assert len(set(metric.known)) == len(metric.known), metric.attribute


def test_a_first_failure_is_an_increase() -> None:
    """Known labels are there at 0 from the start, and nothing else with labels is."""
    families = {f.name: f for f in text_string_to_metric_families(generate_latest(Metrics().registry).decode())}
    for metric in METRICS:
        samples = [s for s in families[metric.name].samples if metric.kind != "histogram" and metric.labels]
        assert {tuple(s.labels[label] for label in metric.labels) for s in samples} == set(metric.known)
        assert all(s.value == 0 for s in samples)


def test_a_counter_ends_with_total_in_the_exposition_as_in_the_document() -> None:
    text = metrics_as_markdown()
    registry = CollectorRegistry()
    Metrics(registry)
    exposed = generate_latest(registry).decode()
    for metric in METRICS:
        name = f"{metric.name}_total" if metric.kind == "counter" else metric.name
        assert f"| `{name}` | {metric.kind} |" in text
        assert f"# TYPE {name} {metric.kind}" in exposed
    assert "_created" not in exposed


def test_two_processes_in_one_do_not_meet() -> None:
    first, other = Metrics(), Metrics()
    first.find_responses.inc()
    assert first.registry.get_sample_value("gantry_find_responses_total") == 1
    assert other.registry.get_sample_value("gantry_find_responses_total") == 0


def test_no_label_can_be_a_uid() -> None:
    """Labels are closed sets and configured names."""
    assert not {label for metric in METRICS for label in metric.labels if "uid" in label or "patient" in label}
