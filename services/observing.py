"""What happens on the network, as metrics and log lines."""

from __future__ import annotations

from collections import Counter

from libs.common.dimse import CommandField
from libs.common.net import Association
from libs.common.telemetry.logs import get_logger
from libs.common.telemetry.metrics import Metrics
from libs.common.ul import AssociateReject, AssociateRequest


class NetworkObserver:
    """`libs.common.net.server.ServerObserver` for a process. One log line when an association ends, not one per
    message: a modality sends thousands."""

    def __init__(self, metrics: Metrics, role: str) -> None:
        self._metrics = metrics
        self._role = role
        self._log = get_logger("net")
        self._messages: dict[Association, int] = {}
        self.open_by_title: Counter[str] = Counter()

    def opened(self, association: Association) -> None:
        self._metrics.associations_accepted.labels(self._role).inc()
        self._metrics.associations_open.labels(self._role).inc()
        self._messages[association] = 0
        self.open_by_title[association.calling_ae_title] += 1

    def message(self, association: Association, field: int, seconds: float) -> None:
        if association in self._messages:
            self._messages[association] += 1
        if field == CommandField.C_FIND_RQ:
            self._metrics.find_seconds.observe(seconds)

    def closed(self, association: Association, outcome: str) -> None:
        self._metrics.associations_open.labels(self._role).dec()
        self.open_by_title[association.calling_ae_title] -= 1
        if not self.open_by_title[association.calling_ae_title]:
            del self.open_by_title[association.calling_ae_title]
        if outcome != "released":
            by = "peer" if outcome == "aborted by peer" else "us" if outcome.startswith("aborted") else "lost"
            self._metrics.associations_aborted.labels(by).inc()
        self._log.info(
            "association ended",
            outcome=outcome,
            calling=association.calling_ae_title,
            peer=association.peer_address,
            messages=self._messages.pop(association, 0),
            trace=association.trace,
        )

    def rejected(self, request: AssociateRequest, reject: AssociateReject, peer_address: str) -> None:
        numbers = f"{reject.result}/{reject.source}/{reject.reason}"
        self._metrics.associations_rejected.labels(numbers).inc()
        self._log.warning(
            "association rejected",
            reason=numbers,
            why=reject.words,
            calling=request.calling_ae_title,
            called=request.called_ae_title,
            peer=peer_address,
        )

    def failed(self, peer_address: str, why: str) -> None:
        if not why.startswith("rejected"):
            self._log.info("connection without association", peer=peer_address, why=why)
