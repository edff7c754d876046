"""`gantry.common.web.rates`: which requests count together, and the answer beyond the limit."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from gantry.common.access import Identity, Means
from gantry.common.web.access import Caller
from gantry.common.web.errors import HttpProblem
from gantry.common.web.rates import SECONDS_AT_ONCE, CallerRates

HERE = Caller(ip_address("192.0.2.1"))
ROBOT = Caller(ip_address("192.0.2.1"), "robot", identity=Identity("robot", "robot", Means.TOKEN))
JANE = Caller(ip_address("192.0.2.1"), "idp:jane", identity=Identity("s1", "idp:jane", Means.ISSUER, issuer="idp"))
JOHN = Caller(ip_address("192.0.2.1"), "idp:john", identity=Identity("s2", "idp:john", Means.ISSUER, issuer="idp"))


def spent(rates: CallerRates, caller: Caller, now: float = 0.0) -> int:
    """How many requests go through, of 1,000."""
    for count in range(1000):
        try:
            rates.require(caller, now)
        except HttpProblem:
            return count
    return 1000


def test_without_a_rate_nobody_is_counted() -> None:
    assert spent(CallerRates(0.0), HERE) == 1000


def test_each_token_user_and_address_is_one() -> None:
    rates = CallerRates(2.0)
    most = int(2 * SECONDS_AT_ONCE)
    assert [spent(rates, caller) for caller in (HERE, ROBOT, JANE, JOHN)] == [most] * 4
    assert spent(rates, Caller(ip_address("192.0.2.2"), "robot", identity=ROBOT.identity)) == 0
    assert spent(rates, Caller(ip_address("192.0.2.2"))) == most
    assert spent(rates, HERE, 1.0) == 2


def test_a_token_may_have_another_rate_or_none() -> None:
    rates = CallerRates(1.0, {"robot": 5.0, "viewer": 0.0})
    assert spent(rates, ROBOT) == int(5 * SECONDS_AT_ONCE)
    viewer = Caller(None, "viewer", identity=Identity("viewer", "viewer", Means.TOKEN))
    assert spent(rates, viewer) == 1000
    # A user may be called anything by his issuer.
    impostor = Caller(None, "viewer", identity=Identity("s3", "viewer", Means.ISSUER, issuer="idp"))
    assert spent(rates, impostor) == int(SECONDS_AT_ONCE)


def test_the_answer_says_when_to_ask_again() -> None:
    rates = CallerRates(0.5)
    spent(rates, HERE)
    with pytest.raises(HttpProblem) as caught:
        rates.require(HERE, 0.0)
    assert caught.value.line == "too many requests: this caller may send 0.5 a second; ask again in 2 s"
    assert caught.value.headers["Retry-After"] == "2"
