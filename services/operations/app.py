"""Wiring of operations, in processes of the ingest role, like all changes over HTTP."""

from __future__ import annotations

from gantry.common.events import ARCHIVERS, INDEXERS, TOPICS, AssociationEnded, ProcessReported, RouteRequested
from gantry.common.lifecycle import retention_rules
from gantry.common.lifecycle.route_board import FORGOTTEN_US, RouteBoard
from gantry.common.runtime.elsewhere import CommittedElsewhere
from gantry.common.runtime.protection import Protection
from gantry.services.auditing.reading import AuditReader
from gantry.services.context import Context, RoleParts
from gantry.services.lifecycle.deletions import Deletions
from gantry.services.lifecycle.hold_facts import HoldFacts
from gantry.services.lifecycle.retained import RetainedStudies
from gantry.services.lifecycle.standing_holds import ReadHolds
from gantry.services.maintenance.dead_letters import DeadLetters
from gantry.services.maintenance.passes import Passes
from gantry.services.maintenance.reconciling import Reconciled
from gantry.services.maintenance.usage import Usage
from gantry.services.maintenance.verify import Verified
from gantry.services.operations.audit import AuditPart
from gantry.services.operations.callers import Operators
from gantry.services.operations.conflicts import ConflictsPart
from gantry.services.operations.fleet import FORGOTTEN_SECONDS, Fleet
from gantry.services.operations.health import HealthPart, HealthSources
from gantry.services.operations.holds import HoldsPart
from gantry.services.operations.letters import LettersPart
from gantry.services.operations.peer_changes import PeerChangesPart
from gantry.services.operations.peer_rules import peer_rules
from gantry.services.operations.peers import PeersPart
from gantry.services.operations.retention import RetentionPart
from gantry.services.operations.routes import RoutesPart
from gantry.services.operations.seen import DAYS, Seen
from gantry.services.operations.topic_reader import TopicReader
from gantry.services.operations.turns import RequestLimit
from gantry.services.operations.web import OperationsService
from gantry.services.operations.where import WherePart
from gantry.services.retrieve.routing.requesting import route_times
from gantry.services.webhooks.app import group_of
from gantry.services.whereabouts.search import Whereabouts


async def build(context: Context) -> RoleParts:
    """Everything below /dicom-web/operations."""
    http = context.settings.http
    operators = Operators(frozenset(http.may_operate), frozenset(http.may_delete), frozenset(http.may_hold))
    turns = RequestLimit()
    rules = retention_rules(context.settings.lifecycle.retention, context.attributes)
    elsewhere = CommittedElsewhere(context.objects)
    deletions = Deletions(
        context.log, context.answers, context.clock, context.settings.lifecycle.grace, rules=rules, elsewhere=elsewhere
    )
    conflicts = ConflictsPart(context.objects, context.answers, deletions, operators, turns)
    facts = HoldFacts(context.objects, context.log, context.clock)
    holds = HoldsPart(context.answers, deletions, ReadHolds(context.answers, facts), operators, turns)
    protection = Protection(context.log, context.answers, context.clock, rules, elsewhere)
    retained = RetainedStudies(context.answers, protection)
    retention = RetentionPart(context.answers, retained, context.settings.lifecycle.retention, context.clock, turns)
    letters = LettersPart(DeadLetters(context.log, context.clock), operators, turns)
    seen, fleet = Seen(), Fleet()
    recorded = TOPICS[AssociationEnded].name, context.clock, DAYS * 24 * 3600.0
    associations = TopicReader(context.log, *recorded, seen.take)
    reported = TOPICS[ProcessReported].name, context.clock, FORGOTTEN_SECONDS
    sources = HealthSources(
        context.log,
        context.answers,
        fleet,
        TopicReader(context.log, *reported, fleet.take),
        seen,
        associations,
        DeadLetters(context.log, context.clock),
        {
            "verification": Passes(context.objects, context.clock, "verify", Verified),
            "comparison": Passes(context.objects, context.clock, "reconcile", Reconciled),
            "usage": Passes(context.objects, context.clock, "usage", Usage),
        },
        [INDEXERS, ARCHIVERS, *map(group_of, context.settings.webhooks)],
        context.quota,
    )
    health = HealthPart(sources, context.clock, context.settings.upkeep.report_every * 3 + 5)
    ours = context.settings.dimse.ae_title
    peers = PeersPart(context.peers, ours, seen, associations, context.clock, operators, turns)
    grace = context.settings.lifecycle.grace
    whereabouts = Whereabouts(context.objects, context.log, context.answers, context.clock, grace=grace)
    where = WherePart(whereabouts, turns)
    board = RouteBoard()
    follower = TopicReader(context.log, TOPICS[RouteRequested].name, context.clock, FORGOTTEN_US / 1e6, board.take)
    times = route_times(context.settings.routing)
    routes = RoutesPart(board, follower, context.log, times, context.clock, operators, turns)
    parts = [where.parts(), routes.parts(), conflicts.parts(), holds.parts(), retention.parts(), letters.parts()]
    reader = AuditReader(context.objects, context.log, context.answers, context.clock)
    parts += [health.parts(), peers.parts(), AuditPart(reader, context.clock, turns).parts()]
    if context.followed_peers is not None:
        told_peers, rules_of_peers = context.followed_peers, peer_rules(context.settings)
        by = context.clock, operators, context.audit, turns
        parts.append(PeerChangesPart(context.peers, told_peers, rules_of_peers, *by).parts())
    return RoleParts(web={**OperationsService(operators, parts).handlers(), **holds.handlers()})
