"""Linking a study to an order, and undoing it: images that were made before their order, without one, or with the wrong
worklist entry (IHE Patient Information Reconciliation).

The sequence: the study is corrected (its values are durable, then the event), then the link is published. A crash in
between leaves a study with the values of the order, and an order without the link; a repeated request does the rest.
"""

from __future__ import annotations

from contextlib import suppress

from gantry.common.dicom.model.json_writing import keys_as_attributes
from gantry.common.errors import Conflicting, NotFound
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.lifecycle import Values
from gantry.common.lifecycle.correctable import OF_ITS_STUDY, correctable_of
from gantry.common.lifecycle.identity import PatientIdentity
from gantry.common.orders import Order, StudyLink, StudyUnlink, Verdict
from gantry.common.orders.linked_values import REQUEST_ATTRIBUTES, patient_of, study_values
from gantry.common.ports.orders import OrderIndex
from gantry.services.corrections import CorrectionDesk
from gantry.services.orders.desk import OrderDesk
from gantry.services.requester import Requester

_COPIED = OF_ITS_STUDY | {REQUEST_ATTRIBUTES}


class StudyLinking:
    """Links studies, for one process."""

    def __init__(self, desk: OrderDesk, corrections: CorrectionDesk, orders: OrderIndex) -> None:
        self._desk = desk
        self._corrections = corrections
        self._orders = orders

    async def link(self, key: str, study: str, requester: Requester, source: str) -> Verdict[Order]:
        """From now on the study shows patient, accession number and request of the order, and the order's steps have
        the state of the steps performed for the study. Raises `NotFound` if one of them does not exist, `Conflicting`
        for a study that is linked to another order or an order that is cancelled, `NotUnderstood` for an order without
        a patient, `DependencyUnavailable`."""
        order = await self._order(key)
        linked = await self._orders.linked_to(DEFAULT_PARTITION, study)
        if linked and linked != key:
            raise Conflicting(f"the study is linked to order {linked}: unlink it there first")
        if linked:
            raise Conflicting("the study is linked to this order already")
        if order.cancelled:
            raise Conflicting("the order is cancelled; it can be placed again")
        patient = PatientIdentity(*patient_of(order))
        made = await self._corrections.assign_study(study, patient, requester, _values_of(order))
        link = StudyLink(key, study, source, made.correction, requester.reason, trace=requester.trace)
        verdict = await self._desk.link(link)
        if not verdict.accepted:  # it was cancelled or linked while we corrected the study
            await self._corrections.withdraw_from_study(study, made.correction, requester)
            raise Conflicting(verdict.reason)
        return verdict

    async def unlink(self, key: str, study: str, requester: Requester, source: str) -> Verdict[Order]:
        """The study and the order have their previous values again. Raises `NotFound` for a study that is not linked to
        the order, `DependencyUnavailable`."""
        order = await self._order(key)
        if study not in order.linked:
            raise NotFound("the study is not linked to this order")
        # The correction may be undone already: by `gantry uncorrect`, by us before a crash, or erased with the study.
        with suppress(NotFound):
            await self._corrections.withdraw_from_study(study, order.linked[study], requester)
        verdict = await self._desk.unlink(StudyUnlink(key, study, source, requester.reason, trace=requester.trace))
        if not verdict.accepted:
            raise Conflicting(verdict.reason)
        return verdict

    async def _order(self, key: str) -> Order:
        record = await self._orders.order(DEFAULT_PARTITION, key)
        if record is None:
            raise NotFound("there is no such order")
        return record[0]


def _values_of(order: Order) -> Values:
    return correctable_of(keys_as_attributes(study_values(order)), _COPIED)
