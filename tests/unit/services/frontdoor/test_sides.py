"""The two archives of shadow mode, as the door reaches them."""

from __future__ import annotations

import pytest

from gantry.common.clock import ManualClock
from gantry.common.config.shadow_sections import ShadowSettings
from gantry.common.errors import ConnectionFailed
from gantry.common.net.proxy import Origin, encode
from gantry.common.telemetry.metrics import Metrics
from gantry.services.frontdoor.routing import Pool
from gantry.services.frontdoor.sides import GantrySide, OtherSide
from tests.integration.services.frontdoor.behind import behind
from tests.support.wire import CT, associate_rq

PEER = Origin("192.0.2.7", 40000)


def test_our_processes_learn_who_the_peer_is() -> None:
    archive = behind({Pool.INGEST: [11112], Pool.MIXED: [11113]}, Metrics())
    peer = GantrySide(archive, {CT}, ShadowSettings(), ManualClock()).peer(associate_rq(), PEER)
    assert (peer.host, peer.port, peer.called_ae_title, peer.calling_ae_title) == ("127.0.0.1", 11112, "GANTRY", "TEST")
    assert peer.preface == encode(PEER, ("127.0.0.1", 11112))


def test_without_a_process_there_is_nobody_to_ask() -> None:
    archive = behind({Pool.QUERY: [11112]}, Metrics())
    with pytest.raises(ConnectionFailed):
        GantrySide(archive, {CT}, ShadowSettings(), ManualClock()).peer(associate_rq(), PEER)


def test_the_other_archive_gets_no_proxy_header_and_is_called_by_its_own_title() -> None:
    side = OtherSide(ShadowSettings(dimse="[2001:db8::1]:104", ae_title="OLD"))
    peer = side.peer(associate_rq(), PEER)
    assert (peer.host, peer.port, peer.called_ae_title, peer.preface) == ("2001:db8::1", 104, "OLD", b"")
    assert OtherSide(ShadowSettings(dimse="old:104")).peer(associate_rq(), PEER).called_ae_title == "GANTRY"
