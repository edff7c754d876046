"""What each alert is tried with: series that make it fire, and series that must not.

Values are in promtool's notation: `0+3x60` begins at 0 and grows by 3 each minute (or `interval`), 60 times.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Series = dict[str, str]
HOUR, DAYS = 60, 3 * 24 * 6
DAY = 24 * 6
"""In steps of ten minutes, as `DAYS`."""


@dataclass(frozen=True)
class Case:
    """`fires` with these labels (beside the severity) at this time; `quiet` never fires it."""

    alert: str
    severity: str
    fires: Series
    quiet: Series
    at: str = "2h"
    labels: dict[str, str] = field(default_factory=dict)
    interval: str = "1m"


def _counted(name: str, bad: str, good: str, rate_bad: int, rate_good: int, minutes: int = 7 * HOUR) -> Series:
    return {f"{name}{{{bad}}}": f"0+{rate_bad}x{minutes}", f"{name}{{{good}}}": f"0+{rate_good}x{minutes}"}


def _received(bad: int, good: int, minutes: int = 7 * HOUR) -> Series:
    return _counted("gantry_objects_received_total", 'status="A700"', 'status="0000"', bad, good, minutes)


def _slow(name: str, bound: str, within: int, all_: int, minutes: int = 7 * HOUR) -> Series:
    return {
        f'{name}_bucket{{le="{bound}"}}': f"0+{within}x{minutes}",
        f"{name}_count": f"0+{all_}x{minutes}",
    }


def _found(failed: int, slow: int, all_: int) -> Series:
    counted = _counted("gantry_find_requests_total", 'status="A700"', 'status="0000"', failed, all_ - failed)
    return {**counted, **_slow("gantry_find_seconds", "1.0", all_ - failed - slow, all_ - failed)}


def _sent(failed: int, completed: int) -> Series:
    both = 'operation="C-MOVE",outcome='
    return _counted("gantry_suboperations_total", f'{both}"failed"', f'{both}"completed"', failed, completed)


_ACK, _QUERY = "GantryAcknowledgementFailing", "GantryQueryFailing"
_SEARCHABLE, _COMMITMENT = "gantry_searchable_seconds", "gantry_commitment_seconds"
_OTHERS_TOO = {"window": "1h"}
_TWO_DAYS, _TEN_DAYS = f"0+2x{2 * DAY} 576x{8 * DAY}", f"0+2x{10 * DAY}"

CASES = (
    # 2 % fail where 14.4 times 0.1 % is the limit; 1 % do not wake anybody within the hour.
    Case(_ACK, "page", _received(20, 980), _received(10, 990), "65m", _OTHERS_TOO),
    # What a sender is refused for reasons of its own (a data set that cannot be read) is no error of ours.
    Case(
        _ACK,
        "page",
        _received(500, 500),
        _counted("gantry_objects_received_total", 'status="C000"', 'status="0000"', 500, 500),
        "65m",
        _OTHERS_TOO,
    ),
    Case(_ACK, "page", _received(8, 992), _received(5, 995), "6h", {"window": "6h"}),
    Case(_ACK, "ticket", _received(2, 998, DAYS), _received(1, 1999, DAYS), "72h", {"window": "3d"}, "10m"),
    Case(
        "GantryFreshnessFailing",
        "page",
        _slow(_SEARCHABLE, "30.0", 80, 100),
        _slow(_SEARCHABLE, "30.0", 100, 100),
        "65m",
        _OTHERS_TOO,
    ),
    Case(_QUERY, "page", _found(10, 0, 100), _found(0, 0, 100), "65m", _OTHERS_TOO),
    Case(_QUERY, "page", _found(0, 10, 100), _found(1, 1, 1000), "65m", _OTHERS_TOO),
    Case("GantryRetrieveFailing", "page", _sent(10, 90), _sent(0, 100), "65m", _OTHERS_TOO),
    Case(
        "GantryCommitmentFailing",
        "page",
        _slow(_COMMITMENT, "600.0", 50, 100),
        _slow(_COMMITMENT, "600.0", 100, 100),
        "65m",
        _OTHERS_TOO,
    ),
    Case("GantryAbsent", "page", {"up": "1x200"}, {"gantry_build_info": "1x200"}),
    Case(
        "GantryDown",
        "page",
        {'up{job="gantry",instance="a"}': "0x200"},
        {'up{job="node",instance="a"}': "0x200", 'up{job="gantry",instance="b"}': "1x60 0x3 1x200"},
        labels={"job": "gantry", "instance": "a"},
    ),
    Case(
        "GantryIndexerBehind",
        "page",
        {'gantry_consumer_lag{group="indexer",topic="instances"}': "600x200"},
        {
            'gantry_consumer_lag{group="indexer",topic="instances"}': "600x10 20x200",
            'gantry_consumer_lag{group="archiver",topic="instances"}': "600x200",
        },
    ),
    Case(
        "GantryArchiverBehind",
        "ticket",
        {'gantry_consumer_lag{group="archiver",topic="instances"}': "20000x200"},
        {'gantry_consumer_lag{group="archiver",topic="instances"}': "9000x200"},
    ),
    Case(
        "GantryDeadLetters",
        "ticket",
        # Two indexers count the same letters.
        {f'gantry_dead_letters_open{{group="indexer",instance="{n}"}}': "3x200" for n in "ab"},
        {'gantry_dead_letters_open{group="indexer"}': "0x200", 'gantry_dead_letters_total{group="indexer"}': "0+1x200"},
        labels={"group": "indexer"},
    ),
    Case(
        "GantryDependencyFailing",
        "page",
        {'gantry_dependency_failures_total{dependency="index"}': "0+2x200"},
        {'gantry_dependency_failures_total{dependency="index"}': "0x100 7x200"},
        labels={"dependency": "index"},
    ),
    Case(
        "GantryDiskFilling",
        "page",
        {
            'gantry_disk_free_bytes{instance="a",store="objects"}': "9x200",
            'gantry_disk_size_bytes{instance="a",store="objects"}': "100x200",
        },
        {
            'gantry_disk_free_bytes{instance="a",store="objects"}': "11x200",
            'gantry_disk_size_bytes{instance="a",store="objects"}': "100x200",
        },
        labels={"instance": "a", "store": "objects"},
    ),
    Case(
        "GantryStoreAway",
        "page",
        # One process that does not reach it is enough: a network policy, a secret.
        {
            'gantry_store_reached{store="cold",instance="a"}': "1x200",
            'gantry_store_reached{store="cold",instance="b"}': "0x200",
        },
        {'gantry_store_reached{store="cold",instance="a"}': "1x200"},
        labels={"store": "cold"},
    ),
    Case(
        "GantryQuotaNearlyReached",
        "ticket",
        {'gantry_quota_bytes{job="gantry"}': "1000x200", 'gantry_quota_used_bytes{job="gantry"}': "901x200"},
        {
            'gantry_quota_bytes{job="gantry",instance="a"}': "1000x200",
            'gantry_quota_used_bytes{job="gantry",instance="a"}': "900x200",
            # An archive without a quota, and a process that is not of ingest.
            'gantry_quota_bytes{job="other",instance="b"}': "0x200",
            'gantry_quota_used_bytes{job="other",instance="b"}': "0x200",
        },
        labels={"job": "gantry"},
    ),
    Case(
        "GantryQuotaReached",
        "page",
        {'gantry_quota_refusals_total{job="gantry"}': "0+1x200"},
        {'gantry_quota_refusals_total{job="gantry"}': "5x200"},
        labels={"job": "gantry"},
    ),
    Case(
        "GantryObjectsLost",
        "page",
        {'gantry_objects_lost_total{reason="missing"}': "0x110 1x90"},
        {'gantry_objects_lost_total{reason="missing"}': "1x200"},
        labels={"reason": "missing"},
    ),
    Case(
        "GantryDrift",
        "ticket",
        {
            'gantry_drift{instance="a",kind="unindexed"}': "0x110 2x90",
            'gantry_drift{instance="b",kind="unindexed"}': "0x200",
        },
        {'gantry_drift{kind="unindexed"}': "0x200"},
        labels={"kind": "unindexed"},
    ),
    Case(
        "GantryCanaryFailing",
        "page",
        {'gantry_canary_last_success_timestamp_seconds{instance="a"}': "0+60x100 6000x100"},
        {
            'gantry_canary_last_success_timestamp_seconds{instance="a"}': "0+60x200",
            'gantry_canary_last_success_timestamp_seconds{instance="old"}': "0x200",
        },
    ),
    Case(
        "GantryHttpFailing",
        "page",
        _counted("gantry_http_requests_total", 'status="500"', 'status="200"', 10, 90),
        _counted("gantry_http_requests_total", 'status="404"', 'status="200"', 50, 50),
    ),
    Case(
        "GantryCommitmentGivenUp",
        "ticket",
        {'gantry_commitment_reports_total{outcome="given_up"}': "0x110 1x90"},
        {'gantry_commitment_reports_total{outcome="retried"}': "0+5x200"},
        labels={"outcome": "given_up"},
    ),
    Case(
        "GantryPeerSilent",
        "ticket",
        # It stored for two days, and then no more; the other one went on.
        {
            'gantry_peer_responses_total{ae_title="CT1",command="C-STORE",status="0000"}': _TWO_DAYS,
            'gantry_peer_responses_total{ae_title="MR1",command="C-STORE",status="0000"}': _TEN_DAYS,
        },
        # What never stored much, and what nobody knows, is missed by nobody.
        {
            'gantry_peer_responses_total{ae_title="WS1",command="C-FIND",status="0000"}': _TWO_DAYS,
            'gantry_peer_responses_total{ae_title="US1",command="C-STORE",status="0000"}': f"0+0x{10 * DAY}",
            'gantry_peer_responses_total{ae_title="other",command="C-STORE",status="0000"}': _TWO_DAYS,
            'gantry_peer_responses_total{ae_title="MR1",command="C-STORE",status="0000"}': _TEN_DAYS,
        },
        at="205h",
        labels={"ae_title": "CT1"},
        interval="10m",
    ),
    Case(
        "GantryPeerRejected",
        "ticket",
        {'gantry_peer_associations_total{ae_title="CT1",outcome="rejected"}': "0+1x200"},
        {'gantry_peer_associations_total{ae_title="other",outcome="rejected"}': "0+9x200"},
        labels={"ae_title": "CT1"},
    ),
    Case(
        "GantryPartitionAway",
        "page",
        {'gantry_door_backends{partition="north",pool="query"}': "1x110 0x90"},
        {
            'gantry_door_backends{partition="north",pool="query"}': "1x200",
            'gantry_door_backends{pool="query"}': "0x200",
        },
        labels={"partition": "north", "pool": "query"},
    ),
    Case(
        "GantryFederationAway",
        "ticket",
        {'gantry_federated_questions_total{ae_title="OLD",outcome="away"}': "0+1x200"},
        {
            'gantry_federated_questions_total{ae_title="OLD",outcome="away"}': "0+1x200",
            'gantry_federated_questions_total{ae_title="OLD",outcome="answered"}': "0+1x200",
        },
        labels={"ae_title": "OLD"},
    ),
    Case(
        "GantrySubscriberAway",
        "ticket",
        {'gantry_subscriptions_open{status="error"}': "0x60 1x140"},
        {
            'gantry_subscriptions_open{status="error"}': "0x60 1x20 0x120",
            'gantry_subscriptions_open{status="active"}': "3x200",
        },
    ),
    Case(
        "GantryRouteFailed",
        "ticket",
        {'gantry_routes_ended_total{destination="RIS",outcome="failed"}': "0x110 1x90"},
        {
            'gantry_routes_ended_total{destination="RIS",outcome="failed"}': "7x200",
            'gantry_routes_ended_total{destination="RIS",outcome="delivered"}': "0+3x200",
            'gantry_routes_ended_total{destination="RIS",outcome="cancelled"}': "0+3x200",
        },
        labels={"destination": "RIS"},
    ),
    Case(
        "GantryDestinationAway",
        "ticket",
        {
            'gantry_routes_open{destination="RIS",instance="a"}': f"2x{DAYS}",
            'gantry_routes_open{destination="RIS",instance="b"}': f"0x{DAYS}",
            'gantry_routes_ended_total{destination="RIS",outcome="failed"}': f"0+1x{DAYS}",
            'gantry_routes_ended_total{destination="RIS",outcome="delivered"}': f"9x{DAYS}",
        },
        # The first is busy, the second gets what waits at night.
        {
            'gantry_routes_open{destination="RIS",instance="a"}': f"2x{DAYS}",
            'gantry_routes_ended_total{destination="RIS",outcome="delivered"}': f"0+1x{DAYS}",
            'gantry_routes_open{destination="READING",instance="a"}': f"3x100 0x30 3x{DAYS - 130}",
        },
        at="25h",
        labels={"destination": "RIS"},
        interval="10m",
    ),
    Case(
        "GantryShadowAway",
        "ticket",
        {"gantry_shadow_reached": "1x100 0x100"},
        {'gantry_shadow_reached{instance="a"}': "1x200", 'gantry_shadow_reached{instance="b"}': "0x200"},
    ),
    Case(
        "GantryShadowSpoolFull",
        "ticket",
        {"gantry_shadow_spool_bytes": "10x100 85x100", "gantry_shadow_spool_limit_bytes": "100x200"},
        {"gantry_shadow_spool_bytes": "75x200", "gantry_shadow_spool_limit_bytes": "100x200"},
    ),
    Case(
        "GantryInstancesWithheld",
        "ticket",
        {'gantry_instances_withheld_total{destination="TRIAL"}': "0x110 2x90"},
        {'gantry_instances_withheld_total{destination="TRIAL"}': "7x200"},
        labels={"destination": "TRIAL"},
    ),
    Case(
        "GantryGlassBroken",
        "ticket",
        {'gantry_overrides_total{opened="study"}': "0x110 1x90"},
        {'gantry_overrides_total{opened="study"}': "7x200"},
        labels={"opened": "study"},
    ),
    Case("GantryConflict", "ticket", {"gantry_receipts_aside": "2x110 3x90"}, {"gantry_receipts_aside": "2x200"}),
    Case(
        "GantryCertificateExpires",
        "ticket",
        {'gantry_certificate_expires_seconds{setting="tls.certificate"}': f"{13 * 86400}x200"},
        {'gantry_certificate_expires_seconds{setting="tls.certificate"}': f"{15 * 86400}x200"},
        labels={"setting": "tls.certificate"},
    ),
    Case(
        "GantryConfigurationRefused",
        "ticket",
        {'gantry_config_reloads_total{outcome="refused"}': "0x115 1x90"},
        {'gantry_config_reloads_total{outcome="taken"}': "0+1x200"},
        labels={"outcome": "refused"},
    ),
    Case(
        "GantryAuditLost",
        "page",
        {"gantry_audit_records_dropped_total": "0x115 3x90"},
        {"gantry_audit_records_total": "0+3x200"},
    ),
    Case(
        "GantryAuditRepositoryAway",
        "ticket",
        {
            'gantry_audit_syslog_failures_total{reason="connect"}': "0+1x200",
            "gantry_audit_syslog_records_total": "0+5x60 300x140",
        },
        {
            'gantry_audit_syslog_failures_total{reason="connect"}': "0+1x200",
            "gantry_audit_syslog_records_total": "0+5x200",
        },
    ),
    Case(
        "GantryFilesExhausted",
        "page",
        {'gantry_file_descriptors_exhausted{instance="a"}': "1x200"},
        {'gantry_file_descriptors_exhausted{instance="a"}': "0x200"},
        labels={"instance": "a"},
    ),
)
