"""Network activity, as metrics and log lines.

There is a line when an association ends, not one per message: a modality sends thousands. A refusal is logged with its
reason, once and then with a count, but never with the content of the request.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from gantry.common.dimse import name_of
from gantry.common.net import Association
from gantry.common.statuses import OUT_OF_RESOURCES
from gantry.common.telemetry.logs import get_logger
from gantry.common.telemetry.metrics import Metrics
from gantry.common.telemetry.rate_limited import RateLimited
from gantry.common.telemetry.spans import Attributes, Span, Tracer
from gantry.common.ul import AssociateReject, AssociateRequest
from gantry.services.process.association_records import Answers, AssociationRecords
from gantry.services.process.audited_associations import AssociationAudit

OTHER = "other"
"""Stands for every AE title that the policy does not know: labels are a closed set."""
_MOST_COMMENTS = 100
"""Refusals of one association that are kept apart: an Error Comment may differ for each object."""


class NetworkObserver:
    """`gantry.common.net.server_state.ServerObserver` for a process."""

    def __init__(
        self,
        metrics: Metrics,
        role: str,
        is_known: Callable[[str], bool] = lambda _: False,
        suspect: Callable[[], None] = lambda: None,
        records: AssociationRecords | None = None,
        tracer: Tracer | None = None,
        audit: AssociationAudit | None = None,
    ) -> None:
        """`is_known` decides which AE titles metrics may name. `suspect` is called if a request was refused for lack of
        resources (A700H): a store may be unavailable. `records` gets every association that ended or was refused,
        `audit` everything that must be audited."""
        self._audit = audit
        self._records = records
        self._tracer = tracer
        self._refusals: dict[Association, Answers] = {}
        self._metrics = metrics
        self._role = role
        self._is_known = is_known
        self._suspect = suspect
        self._logger = get_logger("net")
        self._seldom = RateLimited()
        self._messages: dict[Association, int] = {}
        self.open_by_title: Counter[str] = Counter()
        for family in (metrics.associations_accepted, metrics.associations_open):
            family.labels(role)

    def opened(self, association: Association) -> None:
        self._metrics.associations_accepted.labels(self._role).inc()
        self._metrics.associations_open.labels(self._role).inc()
        self._messages[association] = 0
        self.open_by_title[association.calling_ae_title] += 1
        if self._audit is not None:
            self._audit.opened(association)

    def message(self, association: Association, field: int, seconds: float) -> None:
        if association in self._messages:
            self._messages[association] += 1
        if association.tally.refusals:
            self._tell_refusals(association)

    def closed(self, association: Association, outcome: str) -> None:
        if association not in self._messages:
            return  # never opened: gauges must not go below zero
        title = association.calling_ae_title
        self._metrics.associations_open.labels(self._role).dec()
        self.open_by_title[title] -= 1
        if not self.open_by_title[title]:
            del self.open_by_title[title]
        by = _ending_side(outcome)
        if by:
            self._metrics.associations_aborted.labels(by).inc()
        self._tell_refusals(association)
        self._log_unlogged_refusals(title)
        if self._audit is not None:
            self._audit.closed(association)
        self._count(association, {"": "released", "lost": "lost"}.get(by, "aborted"))
        seconds = asyncio.get_running_loop().time() - association.tally.started
        if self._records is not None:
            self._records.ended(association, outcome, self._answers(association), seconds)
        self._trace(association, outcome, seconds)
        self._logger.info(
            "association ended",
            outcome=outcome,
            calling=title,
            peer=association.peer_address,
            messages=self._messages.pop(association),
            statuses=association.tally.statuses,
            bytes_in=association.connection.bytes_read,
            bytes_out=association.connection.bytes_written,
            seconds=round(seconds, 3),
            trace=association.trace,
            **({} if association.user is None else {"user": association.user.identity.name}),
        )

    def rejected(self, request: AssociateRequest, reject: AssociateReject, peer_address: str) -> None:
        numbers = f"{reject.result}/{reject.source}/{reject.reason}"
        title = request.calling_ae_title
        self._metrics.associations_rejected.labels(numbers).inc()
        self._metrics.peer_associations.labels(self._label(title), "rejected").inc()
        if self._audit is not None:
            self._audit.refused((title, request.called_ae_title), peer_address, reject.why or reject.words)
        times = self._times((peer_address, "rejected", title, numbers, reject.why))
        if times:
            self._record_refused(request, reject, peer_address, times)
            self._logger.warning(
                "association rejected",
                reason=numbers,
                why=reject.why or reject.words,
                calling=title,
                called=request.called_ae_title,
                peer=peer_address,
                count=times,
            )

    def failed(self, peer_address: str, why: str, certificate: str = "") -> None:
        if why.startswith("rejected"):
            return
        reason = reason_of(why)
        self._metrics.connections_failed.labels(reason).inc()
        if reason in ("tls", "unproven") and self._audit is not None:
            self._audit.refused(("", ""), peer_address, why)
        times = self._times((peer_address, "failed", why))
        if times:
            alarming = reason in ("tls", "gave_way", "unproven")
            log = self._logger.warning if alarming else self._logger.info
            if alarming and self._records is not None:
                words = f"{why} ({certificate})" if certificate else why
                self._records.refused(("", ""), peer_address, (0, 0, 0), words, times)
            shown = {"certificate": certificate} if certificate else {}
            log("connection without association", peer=peer_address, why=why, **shown, count=times)

    # ---- inside

    def _trace(self, association: Association, outcome: str, seconds: float) -> None:
        """The span around all requests of an association and the processing of its objects."""
        if self._tracer is not None and self._tracer.tells:
            now, titles = self._tracer.clock.now_us(), (association.calling_ae_title, association.called_ae_title)
            attributes: Attributes = {"calling": titles[0], "called": titles[1], "peer": association.peer_address}
            attributes |= {"outcome": outcome, "role": self._role}
            self._tracer.tell(
                Span("association", association.trace, "", now - int(seconds * 1e6), now, attributes, served=True)
            )

    def _record_refused(self, request: AssociateRequest, reject: AssociateReject, peer: str, times: int) -> None:
        if self._records is not None:
            titles = request.calling_ae_title, request.called_ae_title
            numbers = reject.result, reject.source, reject.reason
            self._records.refused(titles, peer, numbers, reject.why or reject.words, times)

    def _answers(self, association: Association) -> Answers:
        """All answers; refusals are grouped by their comments."""
        refusals = self._refusals.pop(association, Answers())
        answers = Answers({(c, s, why): number for (c, s, why), number in refusals.items()})
        commented: Counter[tuple[str, int]] = Counter()
        for (command, status, _), number in refusals.items():
            commented[command, status] += number
        for (field, status), number in association.tally.answers.items():
            # In a flood of refusals the tally retains only the latest: the others are counted without a comment.
            rest = number - commented[_command(field), status]
            if rest > 0:
                answers[_command(field), status, ""] += rest
        return answers

    def _tell_refusals(self, association: Association) -> None:
        title, refusals = association.calling_ae_title, association.tally.refusals
        while refusals:
            field, status, comment = refusals.popleft()
            if self._records is not None:
                counted = self._refusals.setdefault(association, Answers())
                if len(counted) < _MOST_COMMENTS:  # the others are counted by status only
                    counted[_command(field), status, comment] += 1
            if self._audit is not None:
                self._audit.request_refused(association, _command(field), status, comment)
            if status == OUT_OF_RESOURCES:
                self._suspect()
            kind = (title, "refused", association.peer_address, _command(field), f"{status:04X}", comment)
            times = self._times(kind)
            if times:
                self._tell_refused(kind, times, association.trace)

    def _log_unlogged_refusals(self, title: str) -> None:
        """The association has ended: log its refusals that were not logged yet."""
        for kind, times in self._seldom.take_unlogged(title, asyncio.get_running_loop().time()):
            self._tell_refused(kind, times, "")

    def _tell_refused(self, kind: tuple[object, ...], times: int, trace: str) -> None:
        title, _, peer, command, status, comment = kind
        fields = {"calling": title, "peer": peer, "command": command, "status": status, "why": comment, "count": times}
        self._logger.warning("request refused", **fields, **({"trace": trace} if trace else {}))

    def _count(self, association: Association, outcome: str) -> None:
        title = self._label(association.calling_ae_title)
        self._metrics.peer_associations.labels(title, outcome).inc()
        self._metrics.peer_bytes.labels(title, "in").inc(association.connection.bytes_read)
        self._metrics.peer_bytes.labels(title, "out").inc(association.connection.bytes_written)
        for (field, status), times in association.tally.answers.items():
            self._metrics.peer_responses.labels(title, _command(field), f"{status:04X}").inc(times)

    def _label(self, title: str) -> str:
        return title if self._is_known(title) else OTHER

    def _times(self, kind: tuple[str, ...]) -> int:
        return self._seldom.times(kind, asyncio.get_running_loop().time())


_FAILURES = {
    "TLS:": "tls",
    "unproven": "unproven",
    "gave way": "gave_way",
    "PROXY": "proxy",
    "no header of the PROXY": "proxy",
}


def reason_of(why: str) -> str:
    """The metric label of the reason why a connection ended without an association."""
    return next((name for begins, name in _FAILURES.items() if why.startswith(begins)), "other")


def _ending_side(outcome: str) -> str:
    """Which side ended an association that was not released; "" if it was released."""
    if outcome == "released":
        return ""
    return "peer" if outcome == "aborted by peer" else "us" if outcome.startswith("aborted") else "lost"


def _command(field: int) -> str:
    return name_of(field) or OTHER
