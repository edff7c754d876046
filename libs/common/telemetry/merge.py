"""The metrics of several processes as those of one: counts, sums and sizes are added."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def merged(registry: CollectorRegistry, others: Iterable[str]) -> bytes:
    """The text format of a registry, with the metrics of other processes added, sample by sample."""
    families = {family.name: family for family in registry.collect()}
    for text in others:
        for family in text_string_to_metric_families(text):
            known = families.setdefault(family.name, family)
            if known is not family:
                known.samples = _added(known, family)
    together = CollectorRegistry()
    together.register(_Families(families.values()))
    return generate_latest(together)


def _added(ours: Metric, theirs: Metric) -> list[Sample]:
    samples = {(s.name, tuple(sorted(s.labels.items()))): s for s in ours.samples}
    for sample in theirs.samples:
        key = sample.name, tuple(sorted(sample.labels.items()))
        known = samples.get(key)
        samples[key] = sample if known is None else known._replace(value=known.value + sample.value)
    return list(samples.values())
