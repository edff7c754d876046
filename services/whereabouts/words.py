"""An account in plain words: what is so, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from gantry.common.amounts import counted
from gantry.common.events import StudyDelivered
from gantry.common.lifecycle import holds_stand
from gantry.services.whereabouts.account import (
    Account,
    ArrivalAccount,
    CommitmentAccount,
    CommitmentElsewhere,
    Occurrence,
)
from gantry.services.whereabouts.onward import WAITS, Onward

_MOST = 20


def moment(microseconds: int) -> str:
    """A time as people read it, UTC, to the second."""
    return datetime.fromtimestamp(microseconds / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def history_lines(account: Account) -> list[tuple[str, str]]:
    """Lines of a heading and a fact, in the order of what happens to a study."""
    lines = [("received", _arrival(arrival)) for arrival in account.arrivals[-_MOST:]]
    if len(account.arrivals) > _MOST:
        lines.insert(0, ("received", f"{len(account.arrivals) - _MOST} earlier associations"))
    lines += [("indexed", fact) for fact in _indexed(account)]
    lines += [("committed", _commitment(commitment)) for commitment in account.commitments[-_MOST:]] or [
        ("committed", "nobody has asked for storage commitment of it")
    ]
    lines += [("committed", _elsewhere(commitment)) for commitment in account.elsewhere[-_MOST:]]
    lines += [("happened", _happened(event)) for event in account.happened[-_MOST:]]
    if account.holds:
        lines.append(("held", f"{holds_stand(len(account.holds))}: nothing of it can be deleted"))
    lines += [("delivered", _delivery(delivery)) for delivery in account.deliveries[-_MOST:]] or [
        ("delivered", "nobody has got anything of it in the last 14 days")
    ]
    lines += [("told" if dispatch.tells else "sent on", _onward(dispatch)) for dispatch in _latest(account.onward)]
    lines += [
        ("failed", f"instance {instance.sop_instance_uid}: {instance.reason}") for instance in account.dead[:_MOST]
    ]
    return lines


def advice(account: Account) -> list[str]:
    """What to do, most urgent first; nothing where all is well."""
    steps = []
    if account.dead:
        letters = " ".join(instance.letter for instance in account.dead[:5])
        steps.append(f"fix the cause named under `failed`, then: gantry dlq replay {letters}")
    if account.lost:
        steps.append(f"{_counted_are(account.lost, 'object')} missing or damaged: let the sender send the study again")
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
    failed = [dispatch for dispatch in account.onward if dispatch.has_failed]
    if failed:
        routes = " ".join(dispatch.route for dispatch in failed[:5])
        steps.append(f"fix the cause named under `sent on` and `told`, then: gantry routes retry {routes}")
    owed = [commitment for commitment in account.commitments if not commitment.reported_at]
    given_up = [commitment for commitment in account.commitments if commitment.reported_at and not commitment.delivered]
    if owed:
        steps.append("a commitment report is owed: it is sent when the indexers have caught up, and tried again")
    if given_up:
        steps.append(
            "a commitment report could not be delivered: check the peer's port (gantry ae), and let it ask again"
        )
    return steps


def _counted_are(count: int, noun: str) -> str:
    return f"{counted(count, noun)} {'is' if count == 1 else 'are'}"


def _arrival(arrival: ArrivalAccount) -> str:
    sender = arrival.calling_ae_title or "a sender over HTTP, or one that is no longer known"
    address = f" at {arrival.peer_address}" if arrival.peer_address else ""
    called = f", called {arrival.called_ae_title}" if arrival.called_ae_title else ""
    when = moment(arrival.first_at)
    if arrival.last_at - arrival.first_at >= 1_000_000:
        when += f" to {moment(arrival.last_at)}"
    outcome = f"; association {arrival.outcome}" if arrival.outcome else ""
    trace = f"; trace {arrival.trace}" if arrival.trace else ""
    return f"{counted(arrival.instances, 'instance')} from {sender}{address}{called}, {when}{outcome}{trace}"


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


def _commitment(commitment: CommitmentAccount) -> str:
    requester = commitment.calling_ae_title or "a client over HTTP"
    request = f"{counted(commitment.instances, 'instance')}, asked by {requester} at {moment(commitment.requested_at)}"
    if not commitment.reported_at:
        return f"{request}: no report yet"
    answer = f"{commitment.failed} of them not committed" if commitment.failed else "all of them committed"
    delivery = "delivered" if commitment.delivered else "could not be delivered"
    return f"{request}: {answer}, report {delivery} at {moment(commitment.reported_at)}"


def _elsewhere(commitment: CommitmentElsewhere) -> str:
    failed = f", {commitment.failed} not committed" if commitment.failed else ""
    reported = f"{moment(commitment.reported_at)}, transaction {commitment.transaction_uid}"
    return f"{counted(commitment.committed, 'instance')} by {commitment.ae_title}, which reported at {reported}{failed}"


def _delivery(study: StudyDelivered) -> str:
    user = study.receiver or "somebody without a token"
    at = f" at {study.peer_address}" if study.peer_address else ""
    if study.over == "DICOMweb":
        return f"{counted(study.times, 'request')} over DICOMweb by {user}{at}, {moment(study.at)}"
    peer = f" for {study.calling_ae_title}" if study.calling_ae_title not in ("", study.receiver) else ""
    failed = f", {study.failed} were not" if study.failed else ""
    why = f": {study.why}" if study.why else ""
    return (
        f"{counted(study.completed, 'instance')} to {user}{at} over {study.over}{peer}, {moment(study.at)}{failed}{why}"
    )


def _latest(onward: Sequence[Onward]) -> Sequence[Onward]:
    """The latest, in their order; what failed comes before others where there are too many."""
    latest = sorted(onward, key=lambda dispatch: dispatch.has_failed)[-_MOST:]
    return [dispatch for dispatch in onward if dispatch in latest]


def _onward(step: Onward) -> str:
    rule = f" by the rule {step.rule}" if step.rule else ""
    tries = f", tried {counted(step.attempts, 'time')}" if step.attempts else ""
    again = f", next at {moment(step.again)}" if step.again else ""
    since = "since" if step.state == WAITS else "at"
    why = f": {step.why}" if step.why else ""
    return f"{step.destination}, {step.kind}{rule}: {step.state} {since} {moment(step.at)}{tries}{again}{why}"


def _happened(event: Occurrence) -> str:
    objects = f", {counted(event.objects, 'object')}" if event.objects else ""
    by = f" by {event.by}" if event.by else ""
    why = f": {event.why}" if event.why else ""
    return f"{moment(event.at)} {event.what}{objects}{by}{why}"


def _receipts(number: int) -> str:
    return f"{counted(number, 'receipt')} {'is' if number == 1 else 'are'}"
