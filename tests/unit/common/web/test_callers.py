"""`gantry.common.web.callers`: who may reject, with which codes."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request

from gantry.common.access import CallerRole, Identity, Means, RoleTable, Sight, Verb
from gantry.common.access.sight import ORDINARY
from gantry.common.config.values import REJECTION_CODES
from gantry.common.web.access import Caller
from gantry.common.web.callers import LOOPBACK, rejecting_codes
from gantry.common.web.server import CALLER

NAMED = {"quality": frozenset(("113001",)), LOOPBACK: REJECTION_CODES}
RADIOLOGIST = Identity("s", "sso:s", Means.ISSUER, frozenset((CallerRole.RADIOLOGIST,)))
SOME = Sight((ORDINARY,))


@pytest.mark.parametrize(
    ("client", "codes"),
    [
        pytest.param(Caller(None, "quality"), {"113001"}, id="a token, with its codes"),
        pytest.param(Caller(None, "other"), set(), id="a token that is not named"),
        pytest.param(Caller(None, "", True), REJECTION_CODES, id="this machine"),
        pytest.param(Caller(None, "quality", sight=SOME), set(), id="a token that sees some studies"),
        pytest.param(
            Caller(None, "sso:s", identity=RADIOLOGIST, verbs=RoleTable().verbs_of(RADIOLOGIST)),
            REJECTION_CODES,
            id="a role",
        ),
        pytest.param(
            Caller(None, "sso:s", identity=RADIOLOGIST, verbs=frozenset((Verb.REJECT,)), sight=SOME),
            set(),
            id="a role that sees some studies",
        ),
        pytest.param(
            Caller(None, "quality", identity=Identity("quality", "quality", Means.ISSUER), verbs=frozenset()),
            set(),
            id="somebody of an issuer who calls himself as a token",
        ),
    ],
)
def test_who_may_reject_is_said_by_role_or_name_and_never_for_who_sees_some_studies_only(
    client: Caller, codes: set[str]
) -> None:
    request = make_mocked_request("POST", "/")
    request[CALLER] = client
    assert set(rejecting_codes(request, NAMED)) == set(codes)
