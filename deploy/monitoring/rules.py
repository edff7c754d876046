"""Alert rules: `python deploy/monitoring/rules.py` writes deploy/helm/gantry/rules.yaml, for Prometheus and the chart.

Service level objectives are watched by how fast their budget of errors burns, over a long and a short window at once:
the long one says that it matters, the short one that it still goes on. 14.4 times for an hour is 2 % of the budget of
30 days, 6 times for six hours 5 %, once for three days 10 %.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

FILE = Path(__file__).parents[1] / "helm" / "gantry" / "rules.yaml"
RUNBOOKS = "docs/runbooks/"
_WINDOWS = ("5m", "30m", "1h", "6h", "3d")
_BURNS = (("page", "1h", "5m", 14.4), ("page", "6h", "30m", 6.0), ("ticket", "3d", "6h", 1.0))


@dataclass(frozen=True)
class Objective:
    """`errors` is the share of what went wrong, with WINDOW in it; `target` the share that goes well in 30 days."""

    name: str
    alert: str
    target: float
    errors: str
    summary: str


OBJECTIVES = (
    Objective(
        "acknowledgement",
        "GantryAcknowledgementFailing",
        0.999,
        'sum(rate(gantry_objects_received_total{status=~"A7..|0110"}[WINDOW]))'
        " / sum(rate(gantry_objects_received_total[WINDOW]))",
        "objects are refused for reasons of ours",
    ),
    Objective(
        "freshness",
        "GantryFreshnessFailing",
        0.99,
        '1 - sum(rate(gantry_searchable_seconds_bucket{le="30.0"}[WINDOW]))'
        " / sum(rate(gantry_searchable_seconds_count[WINDOW]))",
        "objects become searchable later than 30 s after their acknowledgement",
    ),
    Objective(
        "query",
        "GantryQueryFailing",
        0.995,
        '(sum(rate(gantry_find_requests_total{status=~"A7..|C...|0110"}[WINDOW]))'
        " + sum(rate(gantry_find_seconds_count[WINDOW]))"
        ' - sum(rate(gantry_find_seconds_bucket{le="1.0"}[WINDOW])))'
        " / sum(rate(gantry_find_requests_total[WINDOW]))",
        "C-FIND fails or takes longer than 1 s",
    ),
    Objective(
        "retrieve",
        "GantryRetrieveFailing",
        0.995,
        'sum(rate(gantry_suboperations_total{operation=~"C-GET|C-MOVE",outcome="failed"}[WINDOW]))'
        ' / sum(rate(gantry_suboperations_total{operation=~"C-GET|C-MOVE"}[WINDOW]))',
        "sub-operations of C-GET and C-MOVE fail",
    ),
    Objective(
        "commitment",
        "GantryCommitmentFailing",
        0.99,
        '1 - sum(rate(gantry_commitment_seconds_bucket{le="600.0"}[WINDOW]))'
        " / sum(rate(gantry_commitment_seconds_count[WINDOW]))",
        "storage commitment reports are delivered later than 10 min after the request",
    ),
)


@dataclass(frozen=True)
class Alert:
    """`lasting` is how long it must be so; a page wakes somebody, a ticket waits for the morning."""

    name: str
    severity: str
    expression: str
    lasting: str
    summary: str


ALERTS = (
    Alert("GantryAbsent", "page", "absent(gantry_build_info)", "5m", "no process of the archive is scraped"),
    Alert("GantryDown", "page", 'up{job=~".*gantry.*"} == 0', "5m", "{{ $labels.instance }} does not answer a scrape"),
    Alert(
        "GantryIndexerBehind",
        "page",
        'max(gantry_consumer_lag{group="indexer"}) > 500',
        "15m",
        "{{ $value }} events are not indexed",
    ),
    Alert(
        "GantryArchiverBehind",
        "ticket",
        'max(gantry_consumer_lag{group="archiver"}) > 10000',
        "1h",
        "{{ $value }} events are not sealed into the bucket",
    ),
    Alert(
        "GantryDeadLetters",
        "ticket",
        "max by (group) (gantry_dead_letters_open) > 0",
        "5m",
        "{{ $value }} events that {{ $labels.group }} could not apply wait for a decision",
    ),
    Alert(
        "GantryDependencyFailing",
        "page",
        "sum by (dependency) (rate(gantry_dependency_failures_total[5m])) > 0",
        "10m",
        "{{ $labels.dependency }} is away, full or too slow",
    ),
    Alert(
        "GantryStoreAway",
        "page",
        "min by (store) (gantry_store_reached) == 0",
        "5m",
        "objects that lie in {{ $labels.store }} cannot be read",
    ),
    Alert(
        "GantryDiskFilling",
        "page",
        "min by (instance, store) (gantry_disk_free_bytes / gantry_disk_size_bytes) < 0.1",
        "15m",
        "less than a tenth of the disk of {{ $labels.store }} is free",
    ),
    Alert(
        "GantryQuotaNearlyReached",
        "ticket",
        "max by (job) (gantry_quota_used_bytes / (gantry_quota_bytes > 0)) > 0.9",
        "15m",
        "more than nine tenths of the quota of bytes are used",
    ),
    Alert(
        "GantryQuotaReached",
        "page",
        "sum by (job) (increase(gantry_quota_refusals_total[5m])) > 0",
        "0m",
        "objects are refused because the quota of bytes is reached",
    ),
    Alert(
        "GantryObjectsLost",
        "page",
        "sum by (reason) (increase(gantry_objects_lost_total[1h])) > 0",
        "0m",
        "objects are {{ $labels.reason }} in the object store",
    ),
    Alert(
        "GantryDrift",
        "ticket",
        "max by (kind) (gantry_drift) > 0",
        "0m",
        "the index did not know {{ $value }} events that were sealed ({{ $labels.kind }})",
    ),
    Alert(
        "GantryCanaryFailing",
        "page",
        "time() - max(gantry_canary_last_success_timestamp_seconds) > 600",
        "0m",
        "no canary came through for ten minutes: stored, found, fetched and committed",
    ),
    Alert(
        "GantryHttpFailing",
        "page",
        'sum(rate(gantry_http_requests_total{status=~"5.."}[5m])) / sum(rate(gantry_http_requests_total[5m])) > 0.05',
        "10m",
        "more than 5 % of DICOMweb requests fail",
    ),
    Alert(
        "GantryCommitmentGivenUp",
        "ticket",
        'increase(gantry_commitment_reports_total{outcome="given_up"}[1h]) > 0',
        "0m",
        "a commitment report could not be delivered in days",
    ),
    Alert(
        "GantryPeerRejected",
        "ticket",
        'sum by (ae_title) (increase(gantry_peer_associations_total{outcome="rejected",ae_title!="other"}[1h])) > 10',
        "0m",
        "associations of {{ $labels.ae_title }} are rejected",
    ),
    Alert(
        "GantryPeerSilent",
        "ticket",
        # The same day of last week: a weekend, or a device that works on Tuesdays, is no alarm.
        'sum by (ae_title) (increase(gantry_peer_responses_total{command="C-STORE",ae_title!="other"}[1d] offset 1w))'
        " > 20"
        ' unless sum by (ae_title) (increase(gantry_peer_responses_total{command="C-STORE"}[1d])) > 0',
        "1h",
        "{{ $labels.ae_title }} stored images on this day last week, and none in the last 24 hours",
    ),
    Alert(
        "GantryConflict",
        "ticket",
        "max(gantry_receipts_aside) > max(gantry_receipts_aside offset 1h)",
        "0m",
        "an instance was sent again with other bytes",
    ),
    Alert(
        "GantryPartitionAway",
        "page",
        'max by (partition, pool) (gantry_door_backends{partition!=""}) == 0',
        "3m",
        "no process of {{ $labels.partition }} takes what belongs to the pool {{ $labels.pool }}",
    ),
    Alert(
        "GantryFederationAway",
        "ticket",
        'sum by (ae_title) (increase(gantry_federated_questions_total{outcome=~"slow|away|refused|nonsense"}[1h])) > 0'
        ' unless sum by (ae_title) (increase(gantry_federated_questions_total{outcome="answered"}[1h])) > 0',
        "30m",
        "{{ $labels.ae_title }} answers no federated query",
    ),
    Alert(
        "GantryRouteFailed",
        "ticket",
        'sum by (destination) (increase(gantry_routes_ended_total{outcome="failed"}[1h])) > 0',
        "0m",
        "{{ $labels.destination }} did not take what a rule sends or tells it",
    ),
    Alert(
        "GantrySubscriberAway",
        "ticket",
        'max(gantry_subscriptions_open{status="error"}) > 0',
        "30m",
        "{{ $value }} subscribers over FHIR take no notifications",
    ),
    Alert(
        "GantryDestinationAway",
        "ticket",
        "sum by (destination) (min_over_time(gantry_routes_open[1d])) > 0"
        ' unless sum by (destination) (increase(gantry_routes_ended_total{outcome="delivered"}[1d])) > 0',
        "0m",
        "for a day something waits for {{ $labels.destination }}, and nothing was delivered",
    ),
    Alert(
        "GantryShadowAway",
        "ticket",
        "max by (partition) (gantry_shadow_reached) == 0",
        "15m",
        "the archive that is compared with the one that answers cannot be reached",
    ),
    Alert(
        "GantryShadowSpoolFull",
        "ticket",
        "max by (partition) (gantry_shadow_spool_bytes / gantry_shadow_spool_limit_bytes) > 0.8",
        "5m",
        "what is to be sent to the archive that peers do not hear fills its spool",
    ),
    Alert(
        "GantryInstancesWithheld",
        "ticket",
        "sum by (destination) (increase(gantry_instances_withheld_total[1h])) > 0",
        "0m",
        "instances were not sent to {{ $labels.destination }}, since they cannot be de-identified",
    ),
    Alert(
        "GantryGlassBroken",
        "ticket",
        "sum by (opened) (increase(gantry_overrides_total[1h])) > 0",
        "0m",
        "somebody opened a {{ $labels.opened }} that he does not see otherwise",
    ),
    Alert(
        "GantryCertificateExpires",
        "ticket",
        "min by (setting) (gantry_certificate_expires_seconds) - time() < 14 * 86400",
        "0m",
        "the certificate of {{ $labels.setting }} ends within 14 days",
    ),
    Alert(
        "GantryConfigurationRefused",
        "ticket",
        'increase(gantry_config_reloads_total{outcome="refused"}[15m]) > 0',
        "0m",
        "a changed configuration file was refused; the one before stays in force",
    ),
    Alert(
        "GantryFilesExhausted",
        "page",
        "max by (instance) (gantry_file_descriptors_exhausted) > 0",
        "1m",
        "{{ $labels.instance }} can open no file and take no connection",
    ),
    Alert(
        "GantryAuditLost",
        "page",
        "sum(increase(gantry_audit_records_dropped_total[1h])) > 0",
        "0m",
        "records of the audit trail were lost: the log was away for longer than the spool lasts",
    ),
    Alert(
        "GantryAuditRepositoryAway",
        "ticket",
        "sum(increase(gantry_audit_syslog_failures_total[30m])) > 0"
        " unless sum(increase(gantry_audit_syslog_records_total[30m])) > 0",
        "15m",
        "the audit repository cannot be reached; what it does not get waits on the log",
    ),
)


def whole() -> dict[str, Any]:
    """The file, as values."""
    recorded = [
        {
            "record": f"gantry:slo_errors:ratio_rate{window}",
            "labels": {"slo": objective.name},
            "expr": _over(objective, window),
        }
        for objective in OBJECTIVES
        for window in _WINDOWS
    ]
    burning = [_burning(objective, *burn) for objective in OBJECTIVES for burn in _BURNS]
    alerts = [_rule(alert.name, alert.severity, alert.expression, alert.lasting, alert.summary) for alert in ALERTS]
    return {
        "groups": [
            {"name": "gantry-slo", "rules": recorded},
            {"name": "gantry-burn", "rules": burning},
            {"name": "gantry", "rules": alerts},
        ]
    }


def _over(objective: Objective, window: str) -> str:
    return objective.errors.replace("WINDOW", window)


def _burning(objective: Objective, severity: str, long: str, short: str, times: float) -> dict[str, Any]:
    limit = f'{{slo="{objective.name}"}} > {times:g} * {1 - objective.target:g}'
    expression = f"gantry:slo_errors:ratio_rate{long}{limit} and gantry:slo_errors:ratio_rate{short}{limit}"
    return _rule(objective.alert, severity, expression, "2m", objective.summary, {"window": long})


def _rule(
    name: str, severity: str, expression: str, lasting: str, summary: str, labels: dict[str, str] | None = None
) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": lasting,
        "labels": {"severity": severity, **(labels or {})},
        "annotations": {"summary": summary, "runbook_url": f"{RUNBOOKS}{name}.md"},
    }


def text() -> str:
    """The file."""
    yaml = YAML()
    yaml.width = 4096
    out = io.StringIO()
    out.write("# Written by deploy/monitoring/rules.py, not edited by hand.\n")
    yaml.dump(whole(), out)
    return out.getvalue()


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
