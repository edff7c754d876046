"""Grafana dashboards: `python deploy/monitoring/dashboards.py` writes deploy/monitoring/dashboards/NAME.json.

A test runs every query below against a Prometheus that scrapes an archive under load, and wants data from each.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
_WIDTH, _HEIGHT, _COLUMNS = 8, 7, 24
RATE = "[$__rate_interval]"


@dataclass(frozen=True)
class Panel:
    """`queries` are PromQL with the legend of each; `unit` is Grafana's name of it."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"


def _query_panel(title: str, unit: str, query: str, legend: str = "", kind: str = "timeseries") -> Panel:
    return Panel(title, unit, ((query, legend),), kind)


def _rate(title: str, unit: str, metric: str, by: str = "", chosen: str = "") -> Panel:
    """A counter's rate, by a label."""
    series = f"{metric}{{{chosen}}}" if chosen else metric
    if not by:
        return _query_panel(title, unit, f"sum(rate({series}{RATE}))")
    legend = " ".join(f"{{{{{label}}}}}" for label in by.split(", "))
    return _query_panel(title, unit, f"sum by ({by}) (rate({series}{RATE}))", legend)


def _quantiles(title: str, metric: str, by: str = "", chosen: str = "") -> Panel:
    """Half, 95 % and 99 % of the observations are below; by a label, 95 % alone."""
    series = f"{metric}_bucket{{{chosen}}}" if chosen else f"{metric}_bucket"
    if by:
        query = f"histogram_quantile(0.95, sum by (le, {by}) (rate({series}{RATE})))"
        return _query_panel(title, "s", query, f"{{{{{by}}}}}")
    shares = (("0.5", "half"), ("0.95", "95 %"), ("0.99", "99 %"))
    queries = [(f"histogram_quantile({share}, sum by (le) (rate({series}{RATE})))", name) for share, name in shares]
    return Panel(title, "s", tuple(queries))


_LAG = _query_panel("Events that a group has not read", "short", "max by (group) (gantry_consumer_lag)", "{{group}}")
_DEAD = _query_panel(
    "Dead letters without a decision", "short", "max by (group) (gantry_dead_letters_open)", "{{group}}"
)
_OURS = 'job=~".*gantry.*"'
_AE = 'ae_title=~"$ae"'

DASHBOARDS: dict[str, tuple[str, tuple[Panel, ...]]] = {
    "fleet": (
        "Gantry: fleet",
        (
            _query_panel("Processes that answer", "short", f"sum(up{{{_OURS}}})", kind="stat"),
            _query_panel("Versions", "short", "count by (version) (gantry_build_info)", "{{version}}", "stat"),
            _query_panel(
                "Alerts", "short", 'count(ALERTS{alertstate="firing",alertname=~"Gantry.*"}) or vector(0)', kind="stat"
            ),
            _query_panel(
                "Errors of each objective, last hour", "percentunit", "gantry:slo_errors:ratio_rate1h", "{{slo}}"
            ),
            _query_panel("Associations open", "short", "sum by (role) (gantry_associations_open)", "{{role}}"),
            _rate("Associations accepted", "ops", "gantry_associations_accepted_total", "role"),
            _rate("Associations rejected", "ops", "gantry_associations_rejected_total", "reason"),
            _rate("Objects received, by status", "ops", "gantry_objects_received_total", "status"),
            _quantiles("C-FIND", "gantry_find_seconds"),
            _rate("DICOMweb requests, by status", "ops", "gantry_http_requests_total", "status"),
            _LAG,
            _DEAD,
            _rate("Calls to stores that failed", "ops", "gantry_dependency_failures_total", "dependency"),
            _query_panel(
                "Processor", "percentunit", f"rate(process_cpu_seconds_total{{{_OURS}}}{RATE})", "{{job}} {{instance}}"
            ),
            _query_panel("Memory", "bytes", f"process_resident_memory_bytes{{{_OURS}}}", "{{job}} {{instance}}"),
            _query_panel("Open files", "percentunit", f"process_open_fds{{{_OURS}}} / process_max_fds{{{_OURS}}}"),
        ),
    ),
    "ae": (
        "Gantry: one AE",
        (
            _rate("Associations, by how they ended", "ops", "gantry_peer_associations_total", "outcome", _AE),
            _query_panel(
                "Rejected, in the range",
                "short",
                f'sum(increase(gantry_peer_associations_total{{{_AE},outcome="rejected"}}[$__range]))',
                kind="stat",
            ),
            _rate("Answers, by command", "ops", "gantry_peer_responses_total", "command", _AE),
            _rate("Answers, by status", "ops", "gantry_peer_responses_total", "status", _AE),
            _rate(
                "Refused requests",
                "ops",
                "gantry_peer_responses_total",
                "command, status",
                f'{_AE},status!~"0000|0001|0107|B...|FE00"',
            ),
            _rate("Bytes, from it and to it", "Bps", "gantry_peer_bytes_total", "direction", _AE),
        ),
    ),
    "ingest": (
        "Gantry: ingest pipeline",
        (
            _rate("Objects received, by status", "ops", "gantry_objects_received_total", "status"),
            _rate("Bytes received", "Bps", "gantry_object_bytes_received_total"),
            _quantiles("C-STORE, 95 % by status", "gantry_object_receive_seconds", "status"),
            _quantiles("An object made durable", "gantry_blob_put_seconds"),
            _quantiles("An event appended", "gantry_event_append_seconds"),
            _quantiles("Acknowledged to searchable", "gantry_searchable_seconds"),
            _rate("Events applied, by outcome", "ops", "gantry_instances_indexed_total", "outcome"),
            _LAG,
            _DEAD,
            _rate("STOW-RS, by status", "ops", "gantry_http_requests_total", "status", 'resource="store"'),
            _rate("Events sealed", "ops", "gantry_facts_sealed_total"),
            _rate("Commitment requests", "ops", "gantry_commitment_transactions_total", "answer"),
            _rate("Commitment reports", "ops", "gantry_commitment_reports_total", "outcome"),
            _quantiles("Commitment request to report", "gantry_commitment_seconds"),
        ),
    ),
    "retrieve": (
        "Gantry: query and retrieve",
        (
            _rate("C-FIND, by status", "ops", "gantry_find_requests_total", "status"),
            _rate("Matches returned", "ops", "gantry_find_responses_total"),
            _quantiles("C-FIND", "gantry_find_seconds"),
            _rate("C-MOVE and C-GET, by status", "ops", "gantry_retrieve_requests_total", "operation, status"),
            _rate("Sub-operations", "ops", "gantry_suboperations_total", "operation, outcome"),
            _rate("Bytes sent", "Bps", "gantry_suboperation_bytes_total", "operation"),
            _query_panel(
                "Sub-operations that failed",
                "percentunit",
                f'sum(rate(gantry_suboperations_total{{outcome="failed"}}{RATE}))'
                f" / sum(rate(gantry_suboperations_total{RATE}))",
            ),
            _rate("DICOMweb requests", "ops", "gantry_http_requests_total", "resource"),
            _quantiles("DICOMweb, 95 % by resource", "gantry_http_seconds", "resource"),
            _rate("Damaged objects met", "ops", "gantry_damaged_objects_total", "reason"),
        ),
    ),
    "storage": (
        "Gantry: storage",
        (
            _query_panel("Free", "bytes", "min by (store) (gantry_disk_free_bytes)", "{{store}}"),
            _query_panel("Used", "percentunit", "1 - min by (store) (gantry_disk_free_bytes / gantry_disk_size_bytes)"),
            _query_panel(
                "Days left at the pace of the last day",
                "d",
                "min(gantry_disk_free_bytes) / (sum(rate(gantry_object_bytes_received_total[1d])) * 86400)",
                kind="stat",
            ),
            _rate("Bytes received", "Bps", "gantry_object_bytes_received_total"),
            _quantiles("An object made durable", "gantry_blob_put_seconds"),
            _rate("Objects verified", "ops", "gantry_objects_verified_total"),
            _query_panel(
                "Lost objects found, in the range",
                "short",
                "sum by (reason) (increase(gantry_objects_lost_total[$__range]))",
                "{{reason}}",
            ),
            _query_panel("Receipts kept aside", "short", "max(gantry_receipts_aside)", kind="stat"),
            _rate("Objects collected", "ops", "gantry_objects_collected_total"),
            _rate("Events sealed", "ops", "gantry_facts_sealed_total"),
            _query_panel(
                "Events recovered, in the range",
                "short",
                "sum(increase(gantry_facts_rescued_total[$__range]))",
                kind="stat",
            ),
        ),
    ),
    "shadow": (
        "Gantry: shadow mode",
        (
            _query_panel("The other archive is reached", "short", "min(gantry_shadow_reached)", kind="stat"),
            _rate("Answers compared", "ops", "gantry_shadow_compared_total", "outcome"),
            _rate("Differences", "ops", "gantry_shadow_differences_total", "operation, kind"),
            _rate("Not compared, by reason", "ops", "gantry_shadow_given_up_total", "reason"),
            _rate("Put off, by reason", "ops", "gantry_shadow_put_off_total", "reason"),
            _rate("Never asked twice", "ops", "gantry_shadow_not_mirrored_total", "operation"),
            _quantiles("Time to answer, 95 %", "gantry_shadow_seconds", "side"),
            _query_panel("Associations mirrored now", "short", "sum(gantry_shadow_open)"),
            _query_panel(
                "The fullest spool",
                "percentunit",
                "max(gantry_shadow_spool_bytes / gantry_shadow_spool_limit_bytes)",
            ),
            _query_panel("Objects in spools", "short", "sum(gantry_shadow_spool_objects)"),
            _query_panel("Bytes in spools", "bytes", "sum(gantry_shadow_spool_bytes)"),
            _query_panel("The oldest waits since", "s", "max(gantry_shadow_spool_oldest_seconds)"),
        ),
    ),
}


def dashboard(name: str) -> dict[str, Any]:
    """A dashboard, as Grafana imports it."""
    title, panels = DASHBOARDS[name]
    variables: list[dict[str, Any]] = [{"name": "datasource", "type": "datasource", "query": "prometheus"}]
    if name == "ae":
        variables.append(
            {
                "name": "ae",
                "label": "AE title",
                "type": "query",
                "datasource": _source(),
                "query": "label_values(gantry_peer_associations_total, ae_title)",
                "refresh": 2,
            }
        )
    return {
        "uid": f"gantry-{name}",
        "title": title,
        "tags": ["gantry"],
        "schemaVersion": 39,
        "time": {"from": "now-6h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": variables},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    in_row = _COLUMNS // _WIDTH
    place = {"x": number % in_row * _WIDTH, "y": number // in_row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
    targets = [
        {"refId": chr(ord("A") + at), "expr": query, "legendFormat": legend or "__auto", "datasource": _source()}
        for at, (query, legend) in enumerate(panel.queries)
    ]
    return {
        "id": number + 1,
        "title": panel.title,
        "type": panel.kind,
        "datasource": _source(),
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


def _source() -> dict[str, str]:
    return {"type": "prometheus", "uid": "${datasource}"}


def text(name: str) -> str:
    """The file."""
    return json.dumps(dashboard(name), indent=1) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for each in DASHBOARDS:
        (FOLDER / f"{each}.json").write_text(text(each), encoding="utf-8")
