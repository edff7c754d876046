"""What Gantry counts: one table, from which the collectors are made and docs/metrics.md is generated.

Labels are closed sets (statuses, outcomes, roles) and configured names (AE titles of known peers, consumer groups);
never a UID, never an AE title from outside that policy does not know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

# A second series per counter that says when the process began: /metrics would be twice as long for it.
disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped there

Kind = Literal["counter", "gauge", "histogram"]
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_MINUTES = (1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 4 * 3600.0, 24 * 3600.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table. `attribute` is its name on `Metrics`, and with `gantry_` before it in the exposition;
    counters have `_total` behind it there."""

    attribute: str
    kind: Kind
    unit: str
    help: str
    labels: tuple[str, ...] = ()
    known: tuple[tuple[str, ...], ...] = ()
    """Values of the labels that are there, at 0, from the start: a first failure is then an increase to alert on."""

    buckets: tuple[float, ...] = _SECONDS
    """Upper bounds of a histogram, in its unit."""

    @property
    def name(self) -> str:
        """As it is registered."""
        return f"gantry_{self.attribute}"


def _label_sets(*values: str) -> tuple[tuple[str, ...], ...]:
    return tuple((value,) for value in values)


# PS3.4 B.2.3, PS3.7 Annex C: how a C-STORE is refused.
_REFUSALS = _label_sets("0000", "0110", "0122", "0124", "A700", "A900", "C000")
_FINDS = _label_sets("0000", "A700", "A900", "C000", "FE00")
_RELOADS = _label_sets("taken", "refused")
_SUBOPERATIONS = tuple((op, how) for op in ("C-GET", "C-MOVE", "send") for how in ("completed", "failed", "warning"))

METRICS: tuple[Metric, ...] = (
    Metric(
        "objects_coerced",
        "counter",
        "objects",
        "Objects in which a coercion rule changed something",
        ("rule",),
    ),
    Metric(
        "coercion_orders",
        "counter",
        "objects",
        "Objects for which a coercion rule looked for an order: found, none, several, away (orders could not be asked)",
        ("rule", "outcome"),
    ),
    Metric(
        "objects_received",
        "counter",
        "objects",
        "Objects received, by the DIMSE status answered",
        ("status",),
        _REFUSALS,
    ),
    Metric("object_bytes_received", "counter", "bytes", "Data set bytes received of acknowledged objects"),
    Metric(
        "object_receive_seconds", "histogram", "seconds", "First byte of a C-STORE command to its response", ("status",)
    ),
    Metric("associations_open", "gauge", "associations", "Associations open now", ("role",)),
    Metric("associations_accepted", "counter", "associations", "Associations accepted", ("role",)),
    Metric(
        "associations_rejected",
        "counter",
        "associations",
        "Associations rejected, by result/source/reason of PS3.8 9.3.4",
        ("reason",),
        _label_sets("1/1/1", "1/1/3", "1/1/7", "2/3/1", "2/3/2"),
    ),
    Metric(
        "associations_aborted",
        "counter",
        "associations",
        "Associations that ended in an abort, by who aborted: us, peer, lost",
        ("by",),
        _label_sets("us", "peer", "lost"),
    ),
    Metric(
        "connections_failed",
        "counter",
        "connections",
        "Connections to the DICOM port that ended without an association: tls, gave_way, proxy, unproven, other",
        ("reason",),
        _label_sets("tls", "gave_way", "proxy", "unproven", "other"),
    ),
    Metric(
        "peer_associations",
        "counter",
        "associations",
        "Associations by AE title of the peer, and how they ended: released, aborted, lost, rejected; titles that the "
        "policy does not know are `other`",
        ("ae_title", "outcome"),
        tuple(("other", how) for how in ("released", "aborted", "lost", "rejected")),
    ),
    Metric("audit_records", "counter", "records", "Audit records that are on the log, by kind", ("kind",)),
    Metric(
        "audit_records_replayed",
        "counter",
        "records",
        "Audit records that were on disk alone, left by a process that was killed or waiting for a log that was away",
    ),
    Metric(
        "audit_records_dropped",
        "counter",
        "records",
        "Audit records that were lost: the event log was away, and `audit.spool_size` was used up",
    ),
    Metric("audit_waiting", "gauge", "records", "Audit records that are complete and not on the log yet"),
    Metric(
        "evidence_statements", "counter", "statements", "Signed statements of what was sealed (`audit.evidence_key`)"
    ),
    Metric("evidence_segments", "counter", "segments", "Sealed segments that such statements name"),
    Metric(
        "audit_syslog_records",
        "counter",
        "records",
        "Audit records written to the audit repository's connection",
    ),
    Metric(
        "audit_syslog_failures",
        "counter",
        "tries",
        "Tries to reach the audit repository that failed: connect, tls, write",
        ("reason",),
        _label_sets("connect", "tls", "write"),
    ),
    Metric(
        "association_records_dropped",
        "counter",
        "records",
        "Records of associations and deliveries (`gantry associations`, `gantry where`) that were lost: the event log "
        "was away for too long",
    ),
    Metric(
        "peer_responses",
        "counter",
        "responses",
        "Final responses by AE title of the peer, command of the request and status",
        ("ae_title", "command", "status"),
    ),
    Metric(
        "peer_bytes",
        "counter",
        "bytes",
        "Bytes on associations that have ended, by AE title of the peer: in (from it), out",
        ("ae_title", "direction"),
        (("other", "in"), ("other", "out")),
    ),
    Metric(
        "find_requests",
        "counter",
        "requests",
        "C-FIND requests, by final status",
        ("status",),
        _FINDS,
    ),
    Metric("find_responses", "counter", "responses", "Pending C-FIND responses sent"),
    Metric("find_seconds", "histogram", "seconds", "C-FIND request to its final response"),
    Metric(
        "federated_questions",
        "counter",
        "questions",
        "Questions to other archives for [federated](federation.md) queries, by AE title and outcome: answered, slow, "
        "away, refused, nonsense, more (than are taken), skipped (it failed just before), unasked (too many at once)",
        ("ae_title", "outcome"),
    ),
    Metric(
        "federated_fetches",
        "counter",
        "fetches",
        "Studies that were to come from another archive to be [retrieved](federation.md) here, by its AE title and "
        "outcome: fetched, part, failed (nothing came)",
        ("ae_title", "outcome"),
    ),
    Metric(
        "suboperations",
        "counter",
        "sub-operations",
        "C-STORE sub-operations of C-MOVE, C-GET and sending over HTTP, by outcome: completed, failed, warning",
        ("operation", "outcome"),
        _SUBOPERATIONS,
    ),
    Metric("suboperation_bytes", "counter", "bytes", "Data set bytes sent in sub-operations", ("operation",)),
    Metric(
        "retrieve_requests",
        "counter",
        "requests",
        "C-MOVE and C-GET requests, by final status",
        ("operation", "status"),
    ),
    Metric(
        "damaged_objects",
        "counter",
        "objects",
        "Damage found while objects were given out, by reason: missing, size, digest",
        ("reason",),
        _label_sets("missing", "size", "digest"),
    ),
    Metric("http_requests", "counter", "requests", "DICOMweb requests, by resource and status", ("resource", "status")),
    Metric(
        "tokens_refused",
        "counter",
        "tokens",
        "Bearer tokens refused, by why; a token of no issuer is `unknown`",
        ("reason",),
        _label_sets(
            *("unknown", "malformed", "issuer", "audience", "expired", "early", "scope", "subject"),
            *("algorithm", "key", "signature", "inactive"),
        ),
    ),
    Metric(
        "user_identities",
        "counter",
        "associations",
        "Users that peers named for associations and that were looked at, by type and result: accepted, refused, later",
        ("type", "result"),
    ),
    Metric(
        "issuer_key_fetches",
        "counter",
        "fetches",
        "Times that keys of an identity provider were fetched, by result: taken, failed",
        ("issuer", "result"),
    ),
    Metric(
        "token_introspections",
        "counter",
        "questions",
        "Questions to an identity provider about a token (RFC 7662), by result: active, inactive, failed",
        ("issuer", "result"),
    ),
    Metric(
        "logins",
        "counter",
        "logins",
        "Logins in browsers, by result: signed-in, or why not",
        ("result",),
        _label_sets(
            *("signed-in", "away", "clock", "code", "issuer", "nonce", "provider", "role", "size", "state", "token"),
        ),
    ),
    Metric(
        "provider_logouts",
        "counter",
        "logouts",
        "Logout tokens of identity providers, by result: ended (sessions), refused, or away",
        ("result",),
        _label_sets("ended", "refused", "away"),
    ),
    Metric(
        "session_renewals",
        "counter",
        "renewals",
        "Sessions in browsers that were to go on, by what was done: sealed anew, by a refresh token, or over",
        ("result",),
        _label_sets("anew", "refresh", "over"),
    ),
    Metric(
        "overrides",
        "counter",
        "overrides",
        "Overrides that began, by what was opened to somebody who does not see it otherwise: study, patient",
        ("opened",),
        _label_sets("study", "patient"),
    ),
    Metric(
        "shares",
        "counter",
        "links",
        "Links for people outside, by what was done to them: created, revoked",
        ("change",),
        _label_sets("created", "revoked"),
    ),
    Metric(
        "deidentified_downloads",
        "counter",
        "objects",
        "Objects of downloads that are de-identified, by what became of them: sent, withheld",
        ("result",),
        _label_sets("sent", "withheld"),
    ),
    Metric(
        "share_openings",
        "counter",
        "openings",
        "Links that were to be opened, by result: opened, or why not",
        ("result",),
        _label_sets(
            *(
                "opened",
                "closed",
                "expired",
                "preparing",
                "revoked",
                "signed-in",
                "too-many-tries",
                "unknown",
                "used-up",
            ),
            "wrong-password",
        ),
    ),
    Metric(
        "http_handshakes_failed",
        "counter",
        "connections",
        "TLS handshakes on the port for HTTPS that were not completed",
    ),
    Metric("http_seconds", "histogram", "seconds", "DICOMweb request to the end of its response", ("resource",)),
    Metric(
        "commitment_transactions",
        "counter",
        "transactions",
        "Storage commitment requests, by answer: accepted, refused",
        ("answer",),
        _label_sets("accepted", "refused"),
    ),
    Metric(
        "worklist_requests",
        "counter",
        "requests",
        "Worklist requests (C-FIND), by final status",
        ("status",),
        _FINDS,
    ),
    Metric("worklist_responses", "counter", "responses", "Steps that worklist requests were answered with"),
    Metric("worklist_seconds", "histogram", "seconds", "A worklist request, from its identifier to its last response"),
    Metric(
        "step_requests",
        "counter",
        "requests",
        "Requests about performed procedure steps, by operation (N-CREATE, N-SET, N-GET) and status answered",
        ("operation", "status"),
    ),
    Metric(
        "workitem_requests",
        "counter",
        "requests",
        "Requests about workitems over DIMSE, by operation (N-CREATE, N-SET, N-GET, N-ACTION, C-FIND) and status "
        "answered",
        ("operation", "status"),
    ),
    Metric(
        "order_events",
        "counter",
        "events",
        "Events of orders, procedure steps and workitems that this process has read, by what was decided: accepted, "
        "refused",
        ("event", "verdict"),
    ),
    Metric(
        "orders_erased",
        "counter",
        "orders",
        "Orders, performed procedure steps and workitems that this process has erased: by hand, by age, or with their "
        "studies",
        ("what",),
    ),
    Metric(
        "commitment_instances",
        "counter",
        "instances",
        "Instances in commitment reports, by failure reason (PS3.3 C.14.1.1); 0000 is committed",
        ("reason",),
        _label_sets("0000", "0110", "0112"),
    ),
    Metric(
        "commitment_reports",
        "counter",
        "reports",
        "N-EVENT-REPORT attempts, by outcome: delivered, retried, given_up",
        ("outcome",),
        _label_sets("delivered", "retried", "given_up"),
    ),
    Metric(
        "commitment_seconds",
        "histogram",
        "seconds",
        "Storage commitment request to its report delivered, or given up",
        buckets=_MINUTES,
    ),
    Metric(
        "instances_indexed",
        "counter",
        "instances",
        "Events applied to the index, by outcome: added, redelivered, redundant, conflict",
        ("outcome",),
        _label_sets("added", "redelivered", "redundant", "conflict"),
    ),
    Metric("objects_verified", "counter", "objects", "Objects read again and compared with what was acknowledged"),
    Metric(
        "receipts_aside", "gauge", "receipts", "Receipts of other bytes of an instance, kept aside: `gantry conflicts`"
    ),
    Metric("namesakes_found", "counter", "instances", "Instances whose SOP Instance UID another instance has, too"),
    Metric(
        "objects_lost",
        "counter",
        "objects",
        "Objects found missing or damaged, by reason: missing, damaged",
        ("reason",),
        _label_sets("missing", "damaged"),
    ),
    Metric("facts_sealed", "counter", "events", "Events of the log sealed into segments in the object store"),
    Metric(
        "facts_rescued", "counter", "objects", "Objects found without an event, whose event was told by the sweeper"
    ),
    Metric(
        "counted_bytes",
        "gauge",
        "bytes",
        "Data sets of current objects by modality, in the last count (`gantry usage`); take the maximum of the "
        "processes",
        ("modality",),
    ),
    Metric("quota_bytes", "gauge", "bytes", "What the archive may hold (`storage.quota`), of ingest; 0: no quota"),
    Metric(
        "quota_used_bytes",
        "gauge",
        "bytes",
        "What of it is used, as a process of ingest knows; take the maximum of the quotients with `gantry_quota_bytes`",
    ),
    Metric("quota_refusals", "counter", "objects", "Objects that were refused because the quota is reached"),
    Metric(
        "drift",
        "gauge",
        "events",
        "Sealed events that the index did not know in the last comparison (`gantry reconcile`): `unindexed`, "
        "`undecided` (a deletion or move), `missing` (its object is gone, too); take the maximum of the processes",
        ("kind",),
    ),
    Metric("drift_healed", "counter", "events", "Of these, events that were published again", ("kind",)),
    Metric("objects_collected", "counter", "objects", "Objects removed after what they were of was deleted"),
    Metric(
        "objects_relocated",
        "counter",
        "objects",
        "Objects that rules moved to another object store (`gantry tiers`)",
        ("store",),
    ),
    Metric("relocated_bytes", "counter", "bytes", "Bytes of these objects", ("store",)),
    Metric(
        "relocation_failures",
        "counter",
        "objects",
        "Objects that were not moved, by reason: missing, damaged (what is to be moved is not what was acknowledged), "
        "archived (to be moved from an archive, and asked for), unequal (two copies of one object differ)",
        ("reason",),
        _label_sets("missing", "damaged", "archived", "unequal"),
    ),
    Metric(
        "objects_brought_back",
        "counter",
        "objects",
        "Objects in an archive of their store that somebody wanted, and that were asked for",
    ),
    Metric(
        "store_reached",
        "gauge",
        "",
        "1 while an object store of `tiers.stores` or `storage.in_place` could be reached at the last look (every "
        "30 s), else 0; from processes that give objects out",
        ("store",),
    ),
    Metric(
        "tier_bytes",
        "gauge",
        "bytes",
        "What lies in each object store, as the last look of `tiers.every` found it; take the maximum of the processes",
        ("store",),
    ),
    Metric(
        "subsequent_occurrences",
        "counter",
        "objects",
        "Objects that came again after they were rejected or deleted, or after their note, and are not there: refused"
        " (A771H), hidden",
        ("outcome",),
        _label_sets("refused", "hidden"),
    ),
    Metric(
        "rejections_lapsed",
        "counter",
        "instances",
        "Instances that a rejection note named and that did not come within `lifecycle.note_first`",
    ),
    Metric(
        "subscriptions_changed",
        "counter",
        "subscriptions",
        "Subscriptions over FHIR, by what was done to them: created, deleted; requested, active, error, off: they got "
        "this status",
        ("change",),
        _label_sets("created", "deleted", "requested", "active", "error", "off"),
    ),
    Metric(
        "subscriptions_open",
        "gauge",
        "subscriptions",
        "Subscriptions over FHIR by status, as the process knows them that tells subscribers (0 in the others)",
        ("status",),
    ),
    Metric(
        "subscription_posts",
        "counter",
        "posts",
        "Notifications of subscriptions over FHIR, by type, and by outcome: accepted, refused (an answer that is not "
        "2xx), unreachable",
        ("type", "outcome"),
    ),
    Metric(
        "webhook_posts",
        "counter",
        "posts",
        "Posts to webhooks, by outcome: accepted, refused (an answer that is not 2xx), unreachable; given_up: batches"
        " of which something was passed over",
        ("webhook", "outcome"),
    ),
    Metric("routes_open", "gauge", "routes", "Routes that wait for a destination or are sent now", ("destination",)),
    Metric(
        "routes_ended",
        "counter",
        "routes",
        "Routes that ended: delivered, failed, cancelled",
        ("destination", "outcome"),
    ),
    Metric(
        "moves_left",
        "counter",
        "moves",
        "C-MOVEs of which something is left to be delivered later, by why: failed, requestor (its association ended); "
        "and studies of such whose process is silent",
        ("destination", "why"),
    ),
    Metric(
        "instances_withheld",
        "counter",
        "instances",
        "Instances that routes did not send because they could not be de-identified",
        ("destination",),
    ),
    Metric(
        "instances_committed_elsewhere",
        "counter",
        "instances",
        "Instances on which destinations of routes reported storage commitment: committed, failed",
        ("destination", "outcome"),
    ),
    Metric("studies_open", "gauge", "studies", "Studies that are not complete: something came lately"),
    Metric(
        "studies_completed",
        "counter",
        "studies",
        "Studies that became complete, by reason: quiet, long, procedure step",
        ("reason",),
    ),
    Metric("webhook_changes", "counter", "changes", "Changes that webhooks accepted", ("webhook",)),
    Metric("searchable_seconds", "histogram", "seconds", "Acknowledged to searchable"),
    Metric("consumer_lag", "gauge", "records", "Records that a consumer group has not committed", ("group", "topic")),
    Metric("consumer_retries", "counter", "batches", "Batches put off because a dependency was away", ("group",)),
    Metric("dead_letters", "counter", "events", "Events that a consumer group could not apply", ("group",)),
    Metric(
        "dead_letters_open",
        "gauge",
        "events",
        "Dead letters that were neither replayed nor discarded (`gantry dlq`), as each indexer counts them: take the "
        "maximum, not the sum",
        ("group",),
    ),
    Metric("event_append_seconds", "histogram", "seconds", "An append to the event log"),
    Metric("blob_put_seconds", "histogram", "seconds", "An object made durable in the object store"),
    Metric(
        "dependency_failures",
        "counter",
        "calls",
        "Calls that found a dependency away, full or too slow",
        ("dependency",),
        _label_sets("object store", "event log", "index"),
    ),
    Metric(
        "peer_waits_seconds",
        "counter",
        "s",
        "For which peers were not read, since they were faster than the policy lets them be",
    ),
    Metric(
        "door_associations",
        "counter",
        "associations",
        "Associations that the door passed on, and connections for messages (pool hl7)",
        ("pool", "partition"),
    ),
    Metric("door_open", "gauge", "associations", "Associations that the door is passing on now", ("pool", "partition")),
    Metric(
        "door_bytes",
        "counter",
        "bytes",
        "Passed on in associations that have ended: in (to backends), out",
        ("direction",),
    ),
    Metric(
        "door_connect_failures", "counter", "connects", "Backends that the door could not reach", ("pool", "partition")
    ),
    Metric(
        "origins_refused",
        "counter",
        "claims",
        "Connections and requests from `proxy_from` whose address for the peer was not proven by the key of "
        "`door.key_file`: missing, forged, time, replayed, destination",
        ("protocol", "reason"),
        tuple((p, r) for p in ("dimse", "http") for r in ("missing", "forged", "time", "replayed", "destination")),
    ),
    Metric(
        "door_backends", "gauge", "backends", "Backends that answered when the door last looked", ("pool", "partition")
    ),
    Metric(
        "shadow_compared",
        "counter",
        "answers",
        "Answers of both archives that were compared (`door.shadow`): same, different",
        ("operation", "outcome"),
    ),
    Metric(
        "shadow_differences",
        "counter",
        "answers",
        "Of these, different ones by kind (docs/shadow.md); an answer may differ in several",
        ("operation", "kind"),
    ),
    Metric(
        "shadow_given_up",
        "counter",
        "comparisons",
        "Associations and messages that were not compared, by reason (docs/shadow.md)",
        ("reason",),
    ),
    Metric(
        "shadow_put_off",
        "counter",
        "associations",
        "Associations, and requests over HTTP, whose objects went to `door.shadow.spool` to be sent later, by reason",
        ("reason",),
    ),
    Metric("shadow_spool_bytes", "gauge", "bytes", "In `door.shadow.spool`", ("partition",)),
    Metric("shadow_spool_limit_bytes", "gauge", "bytes", "At most there: `door.shadow.spool_bytes`", ("partition",)),
    Metric("shadow_spool_objects", "gauge", "objects", "In `door.shadow.spool`", ("partition",)),
    Metric("shadow_spool_oldest_seconds", "gauge", "seconds", "Since the oldest of them was put there", ("partition",)),
    Metric(
        "shadow_not_mirrored",
        "counter",
        "requests",
        "Requests, and associations that ask nothing else, of kinds that are never asked twice",
        ("operation",),
    ),
    Metric(
        "shadow_seconds",
        "histogram",
        "seconds",
        "From a request to its final response, by side: gantry, other",
        ("operation", "side"),
    ),
    Metric("shadow_open", "gauge", "associations", "Associations that are mirrored now"),
    Metric(
        "shadow_reached",
        "gauge",
        "",
        "1 while the archive that peers do not hear could be reached at the last try, else 0",
        ("partition",),
    ),
    Metric(
        "hl7_messages",
        "counter",
        "messages",
        "HL7 messages that were answered, by kind (`ORM^O01`; `other`: none that is taken) and code: AA, AE, AR",
        ("kind", "code"),
    ),
    Metric("hl7_seconds", "histogram", "seconds", "From an HL7 message to its answer"),
    Metric("hl7_connections", "gauge", "connections", "MLLP connections that are open"),
    Metric(
        "hl7_connections_refused",
        "counter",
        "connections",
        "MLLP connections that were closed at once: address, limit, limit per address, tls, proxy (no PROXY header "
        "that counts), at the door unreachable and partition, too",
        ("reason",),
        _label_sets("address", "limit", "limit per address", "tls", "proxy", "unreachable", "partition"),
    ),
    Metric("hl7_quarantined", "counter", "messages", "HL7 messages that went into quarantine (AE)"),
    Metric(
        "hl7_sent",
        "counter",
        "messages",
        "HL7 messages that were sent to a receiver, by the code of its answer: AA, AE, AR, CA, CE, CR; other; none",
        ("destination", "code"),
    ),
    Metric("build_info", "gauge", "", "Always 1: version of Gantry and of Python", ("version", "python")),
    Metric("disk_free_bytes", "gauge", "bytes", "Free where an embedded store lies", ("store",)),
    Metric("disk_size_bytes", "gauge", "bytes", "In all where an embedded store lies", ("store",)),
    Metric(
        "certificate_expires_seconds", "gauge", "seconds", "When a certificate ends, since the Unix epoch", ("setting",)
    ),
    Metric("log_lines_dropped", "counter", "lines", "Log lines that could not be written"),
    Metric("file_descriptors_exhausted", "gauge", "", "1 while no file can be opened and no connection taken"),
    Metric("transfers_running", "gauge", "transfers", "Transfers that were asked for over HTTP, under way now"),
    Metric("peers_added", "gauge", "peers", "Peers that the API added, as this process knows them"),
    Metric(
        "config_reloads",
        "counter",
        "reloads",
        "Changed configuration files, by outcome: taken, refused",
        ("outcome",),
        _label_sets("taken", "refused"),
    ),
)


class Metrics:
    """The collectors of one process, as attributes named in the table."""

    objects_coerced: Counter
    coercion_orders: Counter
    objects_received: Counter
    object_bytes_received: Counter
    object_receive_seconds: Histogram
    associations_open: Gauge
    associations_accepted: Counter
    associations_rejected: Counter
    associations_aborted: Counter
    connections_failed: Counter
    peer_associations: Counter
    audit_records: Counter
    audit_records_replayed: Counter
    audit_records_dropped: Counter
    audit_waiting: Gauge
    evidence_statements: Counter
    evidence_segments: Counter
    audit_syslog_records: Counter
    audit_syslog_failures: Counter
    association_records_dropped: Counter
    peer_responses: Counter
    peer_bytes: Counter
    find_requests: Counter
    find_responses: Counter
    find_seconds: Histogram
    federated_questions: Counter
    federated_fetches: Counter
    suboperations: Counter
    suboperation_bytes: Counter
    retrieve_requests: Counter
    damaged_objects: Counter
    http_requests: Counter
    tokens_refused: Counter
    user_identities: Counter
    issuer_key_fetches: Counter
    token_introspections: Counter
    logins: Counter
    provider_logouts: Counter
    session_renewals: Counter
    overrides: Counter
    shares: Counter
    deidentified_downloads: Counter
    share_openings: Counter
    http_handshakes_failed: Counter
    http_seconds: Histogram
    commitment_transactions: Counter
    worklist_requests: Counter
    worklist_responses: Counter
    worklist_seconds: Histogram
    step_requests: Counter
    workitem_requests: Counter
    order_events: Counter
    orders_erased: Counter
    commitment_instances: Counter
    commitment_reports: Counter
    commitment_seconds: Histogram
    instances_indexed: Counter
    objects_verified: Counter
    receipts_aside: Gauge
    namesakes_found: Counter
    objects_lost: Counter
    facts_sealed: Counter
    facts_rescued: Counter
    counted_bytes: Gauge
    quota_bytes: Gauge
    quota_used_bytes: Gauge
    quota_refusals: Counter
    drift: Gauge
    drift_healed: Counter
    objects_collected: Counter
    objects_relocated: Counter
    relocated_bytes: Counter
    relocation_failures: Counter
    objects_brought_back: Counter
    store_reached: Gauge
    tier_bytes: Gauge
    subsequent_occurrences: Counter
    rejections_lapsed: Counter
    subscriptions_changed: Counter
    subscriptions_open: Gauge
    subscription_posts: Counter
    webhook_posts: Counter
    routes_open: Gauge
    routes_ended: Counter
    moves_left: Counter
    instances_withheld: Counter
    instances_committed_elsewhere: Counter
    studies_open: Gauge
    studies_completed: Counter
    webhook_changes: Counter
    searchable_seconds: Histogram
    consumer_lag: Gauge
    consumer_retries: Counter
    dead_letters: Counter
    dead_letters_open: Gauge
    event_append_seconds: Histogram
    blob_put_seconds: Histogram
    dependency_failures: Counter
    peer_waits_seconds: Counter
    door_associations: Counter
    door_open: Gauge
    door_bytes: Counter
    door_connect_failures: Counter
    origins_refused: Counter
    door_backends: Gauge
    shadow_compared: Counter
    shadow_differences: Counter
    shadow_given_up: Counter
    shadow_put_off: Counter
    shadow_spool_bytes: Gauge
    shadow_spool_limit_bytes: Gauge
    shadow_spool_objects: Gauge
    shadow_spool_oldest_seconds: Gauge
    shadow_not_mirrored: Counter
    shadow_seconds: Histogram
    shadow_open: Gauge
    shadow_reached: Gauge
    hl7_messages: Counter
    hl7_seconds: Histogram
    hl7_connections: Gauge
    hl7_connections_refused: Counter
    hl7_quarantined: Counter
    hl7_sent: Counter
    build_info: Gauge
    disk_free_bytes: Gauge
    disk_size_bytes: Gauge
    certificate_expires_seconds: Gauge
    log_lines_dropped: Counter
    file_descriptors_exhausted: Gauge
    transfers_running: Gauge
    peers_added: Gauge
    config_reloads: Counter

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Registers with `registry`; without one, with a fresh registry of its own."""
        self.registry = registry if registry is not None else CollectorRegistry()
        for metric in METRICS:
            collector = _collector(metric, self.registry)
            setattr(self, metric.attribute, collector)
            for values in metric.known:
                collector.labels(*values)


def _collector(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if metric.kind == "histogram":
        return Histogram(metric.name, metric.help, metric.labels, registry=registry, buckets=metric.buckets)
    kind = Counter if metric.kind == "counter" else Gauge
    return kind(metric.name, metric.help, metric.labels, registry=registry)


def metrics_as_markdown() -> str:
    """docs/metrics.md."""
    lines = [
        "# Metrics",
        "",
        "Generated by `make docs` from `libs/common/telemetry/metrics.py`; served at `/metrics` of each process, with",
        "`process_…` (CPU, memory, open files, start) of Prometheus' client beside them. Counters with a closed set of",
        "labels are there from the start, at 0.",
        "",
        "| metric | type | unit | labels | meaning |",
        "|---|---|---|---|---|",
    ]
    for metric in METRICS:
        name = f"{metric.name}_total" if metric.kind == "counter" else metric.name
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{name}` | {metric.kind} | {metric.unit} | {labels} | {metric.help} |")
    return "\n".join(lines) + "\n"
