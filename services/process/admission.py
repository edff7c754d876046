"""Admission by the AE policy: `gantry.common.net.server_state.Admission` from `gantry.common.config.policy`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from gantry.common.access import AdmittedUser
from gantry.common.config.policy import ELSEWHERE, Permission, Policy, Rejection
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
    VERIFICATION,
)
from gantry.common.ul import AssociateReject, AssociateRequest
from gantry.services.process.user_permissions import may_move, permissions_of

_FIND = frozenset({PATIENT_ROOT_FIND, STUDY_ROOT_FIND, PATIENT_STUDY_ONLY_FIND, REPOSITORY_QUERY})
_GET = frozenset({PATIENT_ROOT_GET, STUDY_ROOT_GET, PATIENT_STUDY_ONLY_GET})
_MOVE = frozenset({PATIENT_ROOT_MOVE, STUDY_ROOT_MOVE, PATIENT_STUDY_ONLY_MOVE})
_RETRIEVE = _MOVE | _GET

_OTHER_THAN_STORAGE: Mapping[Permission, frozenset[str]] = {
    Permission.ECHO: frozenset({VERIFICATION}),
    Permission.FIND: _FIND,
    Permission.RETRIEVE: _RETRIEVE,
    Permission.COMMIT: frozenset({STORAGE_COMMITMENT}),
    Permission.WORKLIST: frozenset({MODALITY_WORKLIST_FIND}),
    Permission.MPPS: frozenset({MODALITY_PERFORMED_PROCEDURE_STEP, MODALITY_PERFORMED_PROCEDURE_STEP_RETRIEVE}),
    Permission.UPS: frozenset(
        {
            UNIFIED_PROCEDURE_STEP_PUSH,
            UNIFIED_PROCEDURE_STEP_PULL,
            UNIFIED_PROCEDURE_STEP_QUERY,
            UNIFIED_PROCEDURE_STEP_WATCH,
        }
    ),
}


class PolicyAdmission:
    """Admits the peers of the policy in force, with their permissions and their limit of open associations.

    If a peer has no permission for a context, the context is refused, but not the association. Objects sent to a C-GET
    requestor use contexts of storage SOP classes too, so `retrieve` allows those; `may_store` decides on a C-STORE.
    """

    def __init__(
        self,
        policy: Callable[[], Policy],
        storage_classes: Iterable[str],
        open_by_title: Counter[str] | None = None,
    ) -> None:
        """`open_by_title` counts the open associations per calling AE title; it is updated by the code that opens and
        closes them."""
        self._policy = policy
        self._storage = frozenset(storage_classes)
        self._open = open_by_title if open_by_title is not None else Counter()

    def admit(
        self, request: AssociateRequest, peer_address: str, tls: bool, certificate: str
    ) -> AssociateReject | frozenset[str] | None:
        """See `gantry.common.net.server_state.Admission`."""
        policy = self._policy()
        answer = policy.admit(request.calling_ae_title, request.called_ae_title, peer_address, tls, certificate)
        if isinstance(answer, Rejection):
            title = request.calling_ae_title
            elsewhere = answer.words == ELSEWHERE
            why = f"{title} is known, but calls from another address" if elsewhere else answer.words
            return AssociateReject(answer.result, answer.source, answer.reason, why)
        # PS3.8 table 9-21: rejected-transient, service provider (presentation), local limit exceeded.
        if self._open[answer.calling_ae_title] >= answer.max_associations:
            return AssociateReject(2, 3, 2, f"already has {answer.max_associations} associations")
        return self.syntaxes(answer.may)

    def syntaxes(self, may: Iterable[Permission]) -> frozenset[str]:
        """The abstract syntaxes that the permissions allow."""
        held = frozenset(may)
        opened = frozenset().union(*(_OTHER_THAN_STORAGE.get(permission, frozenset()) for permission in held))
        if held & {Permission.STORE, Permission.RETRIEVE}:
            opened |= self._storage
        return opened

    def syntaxes_of(self, user: AdmittedUser) -> frozenset[str]:
        """The abstract syntaxes that a user may use, regardless of the peer."""
        allowed = self.syntaxes(permissions_of(user))
        return allowed if may_move(user) else allowed - _MOVE

    def rejects(
        self, calling_ae_title: str, called_ae_title: str, peer_address: str, tls: bool, certificate: str
    ) -> frozenset[str]:
        """The codes with which rejection notes from this peer are allowed now."""
        answer = self._policy().admit(calling_ae_title, called_ae_title, peer_address, tls, certificate)
        return frozenset() if isinstance(answer, Rejection) else answer.rejects

    def may_store(
        self, calling_ae_title: str, called_ae_title: str, peer_address: str, tls: bool, certificate: str
    ) -> bool:
        """Whether a C-STORE request on an association of this peer is allowed now."""
        answer = self._policy().admit(calling_ae_title, called_ae_title, peer_address, tls, certificate)
        return not isinstance(answer, Rejection) and Permission.STORE in answer.may
