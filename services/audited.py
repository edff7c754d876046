"""Requests over DIMSE as entries of the audit trail."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from gantry.common.audit import FAILURE, SERIOUS_FAILURE, SUCCESS, AuditEntry, AuditKind
from gantry.common.dicom.standard.sop_classes import (
    MODALITY_PERFORMED_PROCEDURE_STEP,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from gantry.common.events import AuditedInstances
from gantry.common.net import Request
from gantry.common.ports.index import Location
from gantry.common.runtime.auditing.trail import AuditTrail
from gantry.common.statuses import is_failure

_ASKED_BY = {STUDY_ROOT_MOVE: "C-MOVE", STUDY_ROOT_GET: "C-GET"}
_MOVES = frozenset(("C-MOVE", "C-GET", "finished C-MOVE"))


def audit_query(trail: AuditTrail, request: Request, why: str = "") -> None:
    """A C-FIND is over, with `why` it failed. What was asked is on record as it came, whatever was found."""
    association = request.association
    failed = bool(why) or (request.status is not None and is_failure(request.status))
    trail.add(
        AuditEntry(
            AuditKind.QUERY,
            "C-FIND",
            association.calling_ae_title,
            "ae",
            association.peer_address,
            association.called_ae_title,
            outcome=FAILURE if failed else SUCCESS,
            why=why,
            trace=association.trace,
            session=association.trace,
            query=request.data,
            query_class=request.context.abstract_syntax,
        )
    )


def audit_step_read(trail: AuditTrail, request: Request, uid: str) -> None:
    """A procedure step, or a workitem, was looked at (N-GET)."""
    association = request.association
    trail.add(
        AuditEntry(
            AuditKind.PROCEDURE_READ,
            "N-GET",
            association.calling_ae_title,
            "ae",
            association.peer_address,
            association.called_ae_title,
            trace=association.trace,
            session=association.trace,
            query=uid.encode(),
            query_class=request.context.abstract_syntax,
        )
    )


def audit_sending(
    trail: AuditTrail,
    kind: AuditKind,
    over: str,
    requestor: str,
    receiver: tuple[str, str],
    sent: Sequence[tuple[Location, bool]],
    trace: str,
    why: str = "",
    deidentified_by: str = "",
) -> None:
    """Instances are about to be sent, or were: an entry for each study (PS3.15 A.5.3.3: of one patient), and one for
    what could not be sent of it. `sent` has with each location whether it arrived. What was sent was de-identified by
    the profile `deidentified_by`."""
    peer = trail.peer_of(trace)
    address = "" if peer is None else peer.address
    role = "ae" if over in _MOVES else "token" if requestor else "archive"
    by_study: dict[tuple[str, bool], list[Location]] = {}
    for location, arrived in sent:
        by_study.setdefault((location.study_instance_uid, arrived), []).append(location)
    for (study, arrived), of_study in by_study.items():
        trail.add(
            AuditEntry(
                kind,
                over,
                requestor,
                role,
                address,
                *receiver,
                outcome=SUCCESS if arrived else SERIOUS_FAILURE,
                why="" if arrived else why,
                trace=trace,
                session=trace if peer is not None else "",
                objects=tuple(_rows(study, of_study)),
                deidentified_by=deidentified_by,
            )
        )


def audit_asking(
    trail: AuditTrail,
    peer: tuple[str, str],
    trace: str,
    query: bytes,
    why: str,
    sop_class: str = STUDY_ROOT_FIND,
) -> None:
    """We asked another archive by C-FIND, C-MOVE or C-GET, of the AE title and host `peer`; with `why` it failed. The
    receiver of the query is who was asked."""
    trail.add(
        AuditEntry(
            AuditKind.QUERY,
            _ASKED_BY.get(sop_class, "C-FIND"),
            "",
            "archive",
            "",
            *peer,
            outcome=FAILURE if why else SUCCESS,
            why=why,
            trace=trace,
            query=query,
            query_class=sop_class,
        )
    )


def audit_step(
    trail: AuditTrail,
    step: str,
    operation: str,
    receiver: tuple[str, str],
    trace: str,
    why: str,
    *,
    sop_class: str = MODALITY_PERFORMED_PROCEDURE_STEP,
) -> None:
    """What a modality said of a performed procedure step was sent on, or what happened to a workitem, or was not, with
    why."""
    outcome = SERIOUS_FAILURE if why else SUCCESS
    trail.add(
        AuditEntry(
            AuditKind.PROCEDURE_SENT,
            operation,
            "",
            "archive",
            "",
            *receiver,
            outcome=outcome,
            why=why,
            trace=trace,
            query=step.encode(),
            query_class=sop_class,
        )
    )


def audit_result(
    trail: AuditTrail,
    study: str,
    patient: tuple[str, str],
    receiver: tuple[str, str],
    trace: str,
    why: str,
    over: str = "HL7 ORU^R01",
) -> None:
    """A receiver of HL7 was told of a study, and so of its patient (ID and issuer), or did not take it, with why; so
    was one of a subscription `over` FHIR."""
    trail.add(
        AuditEntry(
            AuditKind.PROCEDURE_SENT,
            over,
            "",
            "archive",
            "",
            *receiver,
            outcome=SERIOUS_FAILURE if why else SUCCESS,
            why=why,
            trace=trace,
            objects=(AuditedInstances(study, *patient),),
        )
    )


def _rows(study: str, locations: Iterable[Location]) -> list[AuditedInstances]:
    classes = Counter(location.sop_class_uid for location in locations)
    return [AuditedInstances(study, sop_class_uid=uid, instances=count) for uid, count in classes.items()]
