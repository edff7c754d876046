"""Which pools can serve an association, by the contexts that its requestor proposes. Pure.

An association that needs one role goes to the pool of that role. The mixed pool has all roles and serves the rest:
modalities store and request commitment on one association, workstations propose everything at once.
"""

from __future__ import annotations

from collections.abc import Collection, Container
from enum import StrEnum

from gantry.common.dicom.standard.sop_classes import (
    MODALITY_PERFORMED_PROCEDURE_STEP,
    MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE,
    MODALITY_WORKLIST_FIND,
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    PATIENT_STUDY_ONLY_FIND,
    PATIENT_STUDY_ONLY_GET,
    PATIENT_STUDY_ONLY_MOVE,
    REPOSITORY_QUERY,
    STORAGE_COMMITMENT,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    UNIFIED_PROCEDURE_STEP_PULL,
    UNIFIED_PROCEDURE_STEP_PUSH,
    UNIFIED_PROCEDURE_STEP_QUERY,
    UNIFIED_PROCEDURE_STEP_WATCH,
)
from gantry.common.ul import AssociateRequest, RoleSelection


class Pool(StrEnum):
    """Processes with the same roles."""

    INGEST = "ingest"
    QUERY = "query"
    RETRIEVE = "retrieve"
    COMMITMENT = "commitment"
    ORDERS = "orders"
    MIXED = "mixed"
    HL7 = "hl7"
    """The MLLP ports of processes with the orders role: for messages, not for associations."""
    OTHER = "other"
    """Not our processes: the other archive, which answers peers before the switch (decision 0069)."""


_POOLS = {
    PATIENT_ROOT_FIND: Pool.QUERY,
    STUDY_ROOT_FIND: Pool.QUERY,
    PATIENT_STUDY_ONLY_FIND: Pool.QUERY,
    REPOSITORY_QUERY: Pool.QUERY,
    PATIENT_ROOT_MOVE: Pool.RETRIEVE,
    STUDY_ROOT_MOVE: Pool.RETRIEVE,
    PATIENT_STUDY_ONLY_MOVE: Pool.RETRIEVE,
    PATIENT_ROOT_GET: Pool.RETRIEVE,
    STUDY_ROOT_GET: Pool.RETRIEVE,
    PATIENT_STUDY_ONLY_GET: Pool.RETRIEVE,
    STORAGE_COMMITMENT: Pool.COMMITMENT,
    MODALITY_WORKLIST_FIND: Pool.ORDERS,
    MODALITY_PERFORMED_PROCEDURE_STEP: Pool.ORDERS,
    MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE: Pool.ORDERS,
    UNIFIED_PROCEDURE_STEP_PUSH: Pool.ORDERS,
    UNIFIED_PROCEDURE_STEP_PULL: Pool.ORDERS,
    UNIFIED_PROCEDURE_STEP_QUERY: Pool.ORDERS,
    UNIFIED_PROCEDURE_STEP_WATCH: Pool.ORDERS,
}


def needed(request: AssociateRequest, storage: Container[str]) -> frozenset[Pool]:
    """The roles that an association may use. Empty if any process can serve it: it has verification only, or no context
    that is served here."""
    roles = {role.sop_class_uid: role for role in request.roles}
    pools: set[Pool] = set()
    for context in request.contexts:
        pool = _POOLS.get(context.abstract_syntax)
        if pool is not None:
            pools.add(pool)
        elif context.abstract_syntax in storage:
            pools |= _of_storage(roles.get(context.abstract_syntax))
    return frozenset(pools)


def _of_storage(role: RoleSelection | None) -> set[Pool]:
    """PS3.7 D.3.3.4: without role selection the requestor is SCU, and stores; as SCP it receives what C-GET sends."""
    if role is None:
        return {Pool.INGEST}
    return ({Pool.INGEST} if role.scu else set()) | ({Pool.RETRIEVE} if role.scp else set())


def choices(request: AssociateRequest, storage: Container[str], pools: Collection[Pool]) -> list[frozenset[Pool]]:
    """Sets of existing pools, the best first; the pools of a set are equally good. Empty if the association needs
    several roles and there is no mixed pool."""
    wanted = needed(request, storage)
    if not wanted:
        return [frozenset(pools)] if pools else []
    best = [*wanted, Pool.MIXED] if len(wanted) == 1 else [Pool.MIXED]
    return [frozenset({pool}) for pool in best if pool in pools]
