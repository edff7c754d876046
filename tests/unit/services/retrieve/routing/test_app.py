"""What the wiring of routes says of the policy."""

from __future__ import annotations

from gantry.common.config.policy import KnownPeer, Permission
from gantry.common.config.routing_sections import RouteRuleSettings
from gantry.services.retrieve.routing.app import curious_destinations, mute_destinations


def test_destinations_that_are_asked_and_may_not_call_back_are_named() -> None:
    rules = [
        RouteRuleSettings(name="deep", to=("DEEP", "MUTE"), commit=True),
        RouteRuleSettings(name="plain", to=("READING",)),
        RouteRuleSettings(name="unknown", to=("NOBODY",), commit=True),
    ]
    peers = [
        KnownPeer(ae_title="DEEP", host="192.0.2.1", may=frozenset([Permission.COMMIT])),
        KnownPeer(ae_title="MUTE", host="192.0.2.2"),
    ]
    assert mute_destinations(rules, [*peers, KnownPeer(ae_title="READING", host="192.0.2.3")]) == ["MUTE", "NOBODY"]


def test_who_gets_de_identified_objects_and_may_ask_for_others_is_named() -> None:
    peers = [
        KnownPeer(ae_title="TRIAL", host="192.0.2.1", may=frozenset([Permission.FIND])),
        KnownPeer(ae_title="QUIET", host="192.0.2.2", may=frozenset([Permission.COMMIT])),
        KnownPeer(ae_title="READING", host="192.0.2.3", may=frozenset([Permission.RETRIEVE])),
    ]
    assert curious_destinations({"TRIAL": "a", "QUIET": "a"}, peers) == ["TRIAL"]
