"""Metrics of several processes told as one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from gantry.common.telemetry.merge import merged


def _registry(received: int, lag: int, seconds: float, topic: str = "instances") -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("received_total", "Objects", ["status"], registry=registry).labels("0000").inc(received)
    Gauge("lag", "Records", ["topic"], registry=registry).labels(topic).set(lag)
    Histogram("took_seconds", "Seconds", registry=registry, buckets=(1.0, 2.0)).observe(seconds)
    return registry


def _lines(text: bytes) -> set[str]:
    return {line for line in text.decode().splitlines() if not line.startswith("#") and "_created" not in line}


def test_samples_of_the_same_name_and_labels_are_added() -> None:
    text = generate_latest(_registry(3, 5, 1.5)).decode()
    assert _lines(merged(_registry(4, 2, 0.5), [text])) >= {
        'received_total{status="0000"} 7.0',
        'lag{topic="instances"} 7.0',
        'took_seconds_bucket{le="1.0"} 1.0',
        'took_seconds_bucket{le="2.0"} 2.0',
        "took_seconds_count 2.0",
        "took_seconds_sum 2.0",
    }


def test_samples_that_only_one_process_has_are_told_too() -> None:
    other = _registry(1, 9, 0.1, topic="dead-letters")
    Counter("alone_total", "Only there", registry=other).inc()
    lines = _lines(merged(_registry(1, 1, 0.1), [generate_latest(other).decode()]))
    assert {'lag{topic="instances"} 1.0', 'lag{topic="dead-letters"} 9.0', "alone_total 1.0"} <= lines


def test_a_process_that_told_nothing_changes_nothing() -> None:
    registry = _registry(4, 2, 0.5)
    assert _lines(merged(registry, [""])) == _lines(generate_latest(registry))
