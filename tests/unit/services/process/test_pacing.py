"""`gantry.services.process.pacing`: the pace of a peer is one for all its associations, as the policy says it now."""

from __future__ import annotations

from typing import Any

from gantry.common.config.policy import KnownPeer, Policy
from gantry.common.telemetry.metrics import Metrics
from gantry.services.process.pacing import LONGEST, PeerPaces


def policy(**limits: Any) -> Policy:
    peer = KnownPeer.model_validate({"ae_title": "CT1", "host": "192.0.2.1", **limits})
    return Policy("GANTRY", {"CT1": peer})


class Paced:
    def __init__(self, **limits: Any) -> None:
        self.policy = policy(**limits)
        self.metrics = Metrics()
        self.paces = PeerPaces(lambda: self.policy, self.metrics)


def test_who_has_no_limit_has_no_pace() -> None:
    paced = Paced()
    assert paced.paces("CT1") is None
    assert paced.paces("STRANGER") is None


def test_operations_and_bytes_are_paced_for_all_associations_of_a_title() -> None:
    paced = Paced(max_operations_per_second=10, max_bytes_per_second=1e6)
    first, second = paced.paces("CT1"), paced.paces(" CT1 ")
    assert first is not None
    assert second is first
    assert first(20, 0, 0.0) == 0.0
    assert first(5, 0, 0.0) == 0.5
    assert first(0, 2_000_000, 10.0) == 0.0
    assert first(1, 3_000_000, 10.0) == 3.0  # the longer of the two
    assert paced.metrics.peer_waits_seconds._value.get() == 3.5


def test_nobody_waits_longer_than_deadlines_last() -> None:
    pace = Paced(max_bytes_per_second=1024).paces("CT1")
    assert pace is not None
    assert pace(0, 10**9, 0.0) == LONGEST


def test_a_changed_policy_holds_for_associations_that_begin_then() -> None:
    paced = Paced(max_operations_per_second=1)
    before = paced.paces("CT1")
    paced.policy = policy(max_operations_per_second=2)
    after = paced.paces("CT1")
    assert after is not None
    assert after is not before
    paced.policy = policy()
    assert paced.paces("CT1") is None
