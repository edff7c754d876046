"""An account in plain words: what is so, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from gantry.common.amounts import counted
from gantry.common.events import StudyDelivered
from gantry.common.lifecycle import holds_stand
from gantry.services.whereabouts.account import Account, Arrival, Commitment, CommitmentElsewhere, Happened
from gantry.services.whereabouts.onward import WAITS, Onward

_MOST = 20


def moment(microseconds: int) -> str:
    """A time as people read it, UTC, to the second."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def told(account: Account) -> list[tuple[str, str]]:
    """Lines of a heading and a fact, in the order of what happens to a study."""
    lines = [("received", _arrival(arrival)) for arrival in account.arrivals[-_MOST:]]
    if len(account.arrivals) > _MOST:
        lines.insert(0, ("received", f"{len(account.arrivals) - _MOST} earlier associations"))
    lines += [("indexed", fact) for fact in _indexed(account)]
    lines += [("committed", _commitment(one)) for one in account.commitments[-_MOST:]] or [
        ("committed", "nobody has asked for storage commitment of it")
    ]
    lines += [("committed", _elsewhere(one)) for one in account.elsewhere[-_MOST:]]
    lines += [("happened", _happened(one)) for one in account.happened[-_MOST:]]
    if account.holds:
        lines.append(("held", f"{holds_stand(len(account.holds))}: nothing of it can be deleted"))
    lines += [("delivered", _delivery(one)) for one in account.deliveries[-_MOST:]] or [
        ("delivered", "nobody has got anything of it in the last 14 days")
    ]
    lines += [("told" if one.tells else "sent on", _onward(one)) for one in _latest(account.onward)]
    lines += [("failed", f"instance {one.sop_instance_uid}: {one.reason}") for one in account.dead[:_MOST]]
    return lines


def advice(account: Account) -> list[str]:
    """What to do, most urgent first; nothing where all is well."""
    steps = []
    if account.dead:
        letters = " ".join(one.letter for one in account.dead[:5])
        steps.append(f"mend the cause named under `failed`, then: gantry dlq replay {letters}")
    if account.lost:
        steps.append(f"{_are(account.lost, 'object')} missing or damaged: let the sender send the study again")
    if account.unread:
        steps.append("the index is behind the log: wait, or look at /readyz and at the log of the indexer")
    if account.aside:
        steps.append("it was sent again with other bytes: gantry conflicts, then gantry choose")
    if account.deleted and account.restorable:
        steps.append(f"it can be brought back: gantry undelete {account.study_instance_uid} --reason …")
    if account.rejected:
        steps.append("what was rejected comes back by its SOP Instance UID: gantry undelete UID --reason …")
    if account.deliveries and account.deliveries[-1].failed:
        last = account.deliveries[-1]
        missed = counted(last.failed, "instance")
        steps.append(f"{missed} did not reach {last.receiver}: check it (gantry ae), and move again")
    failed = [one for one in account.onward if one.has_failed]
    if failed:
        routes = " ".join(one.route for one in failed[:5])
        steps.append(f"mend the cause named under `sent on` and `told`, then: gantry routes retry {routes}")
    owed = [one for one in account.commitments if not one.reported_at]
    given_up = [one for one in account.commitments if one.reported_at and not one.delivered]
    if owed:
        steps.append("a commitment report is owed: it is sent when the indexers have caught up, and tried again")
    if given_up:
        steps.append(
            "a commitment report could not be delivered: check the peer's port (gantry ae), and let it ask again"
        )
    return steps


def _are(count: int, one: str) -> str:
    return f"{counted(count, one)} {'is' if count == 1 else 'are'}"


def _arrival(arrival: Arrival) -> str:
    who = arrival.calling_ae_title or "a sender over HTTP, or one that is no longer known"
    address = f" at {arrival.peer_address}" if arrival.peer_address else ""
    called = f", called {arrival.called_ae_title}" if arrival.called_ae_title else ""
    when = moment(arrival.first_at)
    if arrival.last_at - arrival.first_at >= 1_000_000:
        when += f" to {moment(arrival.last_at)}"
    outcome = f"; association {arrival.outcome}" if arrival.outcome else ""
    trace = f"; trace {arrival.trace}" if arrival.trace else ""
    return f"{counted(arrival.instances, 'instance')} from {who}{address}{called}, {when}{outcome}{trace}"


def _indexed(account: Account) -> list[str]:
    facts = [f"{counted(account.searchable, 'instance')} can be found and retrieved"]
    if account.unread:
        facts.append(f"{_receipts(account.unread)} stored, and not read by the indexers yet")
    if account.aside:
        facts.append(f"{_receipts(account.aside)} kept aside: other bytes than the current ones")
    if account.lost:
        facts.append(f"{_receipts(account.lost)} missing or damaged in the object store")
    if account.deleted:
        facts.append(f"{_receipts(account.deleted)} deleted, {account.restorable} of these can be restored")
    if account.rejected:
        facts.append(f"{_receipts(account.rejected)} rejected by a note")
    if account.collected:
        facts.append(f"{_receipts(account.collected)} removed for good")
    return facts


def _commitment(one: Commitment) -> str:
    who = one.calling_ae_title or "a client over HTTP"
    asked = f"{counted(one.instances, 'instance')}, asked by {who} at {moment(one.requested_at)}"
    if not one.reported_at:
        return f"{asked}: no report yet"
    answer = f"{one.failed} of them not committed" if one.failed else "all of them committed"
    delivery = "delivered" if one.delivered else "could not be delivered"
    return f"{asked}: {answer}, report {delivery} at {moment(one.reported_at)}"


def _elsewhere(one: CommitmentElsewhere) -> str:
    failed = f", {one.failed} not committed" if one.failed else ""
    reported = f"{moment(one.reported_at)}, transaction {one.transaction_uid}"
    return f"{counted(one.committed, 'instance')} by {one.ae_title}, which reported at {reported}{failed}"


def _delivery(one: StudyDelivered) -> str:
    who = one.receiver or "somebody without a token"
    at = f" at {one.peer_address}" if one.peer_address else ""
    if one.over == "DICOMweb":
        return f"{counted(one.times, 'request')} over DICOMweb by {who}{at}, {moment(one.at)}"
    asked = f" for {one.calling_ae_title}" if one.calling_ae_title not in ("", one.receiver) else ""
    failed = f", {one.failed} were not" if one.failed else ""
    why = f": {one.why}" if one.why else ""
    return f"{counted(one.completed, 'instance')} to {who}{at} over {one.over}{asked}, {moment(one.at)}{failed}{why}"


def _latest(onward: Sequence[Onward]) -> Sequence[Onward]:
    """The latest, in their order; what failed comes before others where there are too many."""
    kept = sorted(onward, key=lambda one: one.has_failed)[-_MOST:]
    return [one for one in onward if one in kept]


def _onward(one: Onward) -> str:
    rule = f" by the rule {one.rule}" if one.rule else ""
    tries = f", tried {counted(one.attempts, 'time')}" if one.attempts else ""
    again = f", next at {moment(one.again)}" if one.again else ""
    since = "since" if one.state == WAITS else "at"
    why = f": {one.why}" if one.why else ""
    return f"{one.destination}, {one.kind}{rule}: {one.state} {since} {moment(one.at)}{tries}{again}{why}"


def _happened(one: Happened) -> str:
    objects = f", {counted(one.objects, 'object')}" if one.objects else ""
    by = f" by {one.by}" if one.by else ""
    why = f": {one.why}" if one.why else ""
    return f"{moment(one.at)} {one.what}{objects}{by}{why}"


def _receipts(number: int) -> str:
    return f"{counted(number, 'receipt')} {'is' if number == 1 else 'are'}"
