"""`gantry.services.frontdoor.routing`: what peers propose, and whose it is."""

from __future__ import annotations

import pytest

from gantry.common.dicom.standard.sop_classes import (
    PATIENT_ROOT_FIND,
    PATIENT_STUDY_ONLY_FIND,
    STORAGE_COMMITMENT,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)
from gantry.common.ul import RoleSelection
from gantry.services.frontdoor.routing import Pool, choices, needed
from tests.support.wire import CT, EXPLICIT, VERIFICATION, associate_rq

MR = "1.2.840.10008.5.1.4.1.1.4"
WORKLIST = "1.2.840.10008.5.1.4.31"
MPPS, MPPS_RETRIEVE = "1.2.840.10008.3.1.2.3.3", "1.2.840.10008.3.1.2.3.4"
UPS, UPS_WATCH = "1.2.840.10008.5.1.4.34.6.1", "1.2.840.10008.5.1.4.34.6.2"
PRINT = "1.2.840.10008.5.1.1.9"
STORAGE = {CT, MR}
EVERY = tuple(pool for pool in Pool if pool not in (Pool.HL7, Pool.OTHER))
INGEST, QUERY, RETRIEVE, COMMITMENT, ORDERS, MIXED = EVERY


def proposing(*syntaxes: str, roles: tuple[RoleSelection, ...] = ()) -> object:
    return associate_rq([(2 * i + 1, uid, (EXPLICIT,)) for i, uid in enumerate(syntaxes)], roles=roles)


def as_scp(uid: str, *, scu_too: bool = False) -> RoleSelection:
    return RoleSelection(uid, scu_too, True)


@pytest.mark.parametrize(
    ("request_", "roles"),
    [
        pytest.param(proposing(CT, MR), {INGEST}, id="a modality stores"),
        pytest.param(proposing(VERIFICATION, CT), {INGEST}, id="and verifies"),
        pytest.param(proposing(CT, roles=(RoleSelection(CT, True, False),)), {INGEST}, id="and says that it is SCU"),
        pytest.param(proposing(STUDY_ROOT_FIND, PATIENT_ROOT_FIND), {QUERY}, id="a workstation searches"),
        pytest.param(proposing(PATIENT_STUDY_ONLY_FIND, VERIFICATION), {QUERY}, id="an old one searches"),
        pytest.param(proposing(STUDY_ROOT_MOVE), {RETRIEVE}, id="C-MOVE"),
        pytest.param(proposing(STUDY_ROOT_GET, CT, MR, roles=(as_scp(CT), as_scp(MR))), {RETRIEVE}, id="C-GET"),
        pytest.param(
            proposing(STUDY_ROOT_GET, CT, roles=(as_scp(CT, scu_too=True),)),
            {RETRIEVE, INGEST},
            id="C-GET by one who may store too",
        ),
        pytest.param(proposing(CT, roles=(as_scp(CT),)), {RETRIEVE}, id="a receiver that asks for nothing"),
        pytest.param(proposing(STUDY_ROOT_GET, CT), {RETRIEVE, INGEST}, id="C-GET without role selection"),
        pytest.param(proposing(STORAGE_COMMITMENT), {COMMITMENT}, id="commitment"),
        pytest.param(
            proposing(STORAGE_COMMITMENT, roles=(RoleSelection(STORAGE_COMMITMENT, True, False),)),
            {COMMITMENT},
            id="commitment with its role",
        ),
        pytest.param(proposing(CT, STORAGE_COMMITMENT), {INGEST, COMMITMENT}, id="a modality stores and commits"),
        pytest.param(
            proposing(VERIFICATION, CT, STUDY_ROOT_FIND, STUDY_ROOT_MOVE, STUDY_ROOT_GET),
            {INGEST, QUERY, RETRIEVE},
            id="a workstation proposes everything",
        ),
        pytest.param(proposing(VERIFICATION), set(), id="C-ECHO"),
        pytest.param(proposing(WORKLIST), {ORDERS}, id="a modality asks for its worklist"),
        pytest.param(proposing(MPPS, MPPS_RETRIEVE), {ORDERS}, id="a modality tells what it performs"),
        pytest.param(proposing(WORKLIST, MPPS, CT), {ORDERS, INGEST}, id="a modality does all on one association"),
        pytest.param(proposing(WORKLIST, STUDY_ROOT_FIND), {ORDERS, QUERY}, id="two kinds of C-FIND"),
        pytest.param(proposing(UPS, UPS_WATCH), {ORDERS}, id="a worker asks for workitems"),
        pytest.param(proposing(PRINT), set(), id="what nobody serves"),
        pytest.param(proposing(PRINT, CT), {INGEST}, id="what nobody serves, and storage"),
    ],
)
def test_a_request_needs_the_roles_it_could_use(request_: object, roles: set[Pool]) -> None:
    assert needed(request_, STORAGE) == roles  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("syntaxes", "pools", "expected"),
    [
        pytest.param([CT], EVERY, [{INGEST}, {MIXED}], id="its own pool, then the one that plays every role"),
        pytest.param([CT], (INGEST, QUERY), [{INGEST}], id="its own pool alone"),
        pytest.param([CT], (MIXED,), [{MIXED}], id="one pool for everything"),
        pytest.param([CT], (QUERY,), [], id="nobody stores"),
        pytest.param([CT, STORAGE_COMMITMENT], EVERY, [{MIXED}], id="mixed"),
        pytest.param([WORKLIST, MPPS], EVERY, [{ORDERS}, {MIXED}], id="worklist and procedure steps"),
        pytest.param([WORKLIST, CT], EVERY, [{MIXED}], id="worklist and storage"),
        pytest.param([CT, STORAGE_COMMITMENT], (INGEST, COMMITMENT), [], id="mixed, and nobody plays both"),
        pytest.param([VERIFICATION], (INGEST, QUERY), [{INGEST, QUERY}], id="C-ECHO goes anywhere"),
    ],
)
def test_the_best_pool_comes_first(syntaxes: list[str], pools: tuple[Pool, ...], expected: list[set[Pool]]) -> None:
    assert choices(proposing(*syntaxes), STORAGE, pools) == expected  # type: ignore[arg-type]
