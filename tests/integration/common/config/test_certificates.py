"""Certificates that are renewed hold for the next connection, on a TLS port beside a plain one."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from gantry.common.clock import ManualClock
from gantry.common.config.tls import Certificates, client_context, expiry_of
from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.net import Peer, Server, connect, scu
from gantry.common.net.client import associate
from gantry.services.process.verification import VerificationService
from tests.support.certificates import Authority, Pair, settings
from tests.support.network import OpenDoor, Silence

ECHO = [(VERIFICATION, ["1.2.840.10008.1.2"])]


def install(pair: Pair, folder: Path) -> Pair:
    """Copies that are replaced later."""
    folder.mkdir(exist_ok=True)
    shutil.copy(pair.certificate, folder / "ours.pem")
    shutil.copy(pair.key, folder / "ours.key")
    return Pair(folder / "ours.pem", folder / "ours.key")


def serial_of(association: object) -> str:
    return str(association.connection.extra("peercert")["serialNumber"])  # type: ignore[attr-defined]


async def test_renewed_certificate_holds_for_the_next_connection_and_a_plain_port_lies_beside(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "a", "hospital")
    ours = install(authority.sign("one"), tmp_path / "installed")
    outcomes: list[str] = []
    certificates = Certificates(settings(ours, authority.ca), outcomes.append)
    server = Server([VerificationService()], OpenDoor(), Silence())  # type: ignore[arg-type]
    plain = await server.start("127.0.0.1", 0)
    secure = await server.start("127.0.0.1", 0, tls=certificates.server)
    tls = client_context(settings(authority.sign("modality"), authority.ca))
    peer = Peer("127.0.0.1", secure, "GANTRY", "CT1", tls=tls)
    try:
        async with connect(Peer("127.0.0.1", plain, "GANTRY", "CT1"), ECHO) as association:
            assert await scu.echo(association) == 0
        first = await associate(peer, ECHO)
        install(authority.sign("two"), tmp_path / "installed")
        certificates.look()
        second = await associate(peer, ECHO)
        assert serial_of(first) != serial_of(second)
        assert await scu.echo(first) == 0  # who is there already stays
        assert outcomes == ["taken"]
        for association in (first, second):
            await association.release()
    finally:
        await server.drain(0.5)


async def test_certificate_that_cannot_be_used_is_refused_and_the_old_one_stays(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "a", "hospital")
    ours = install(authority.sign("one"), tmp_path / "installed")
    outcomes: list[str] = []
    certificates = Certificates(settings(ours, authority.ca), outcomes.append)
    before = certificates.server()
    other = authority.sign("two")
    shutil.copy(other.certificate, ours.certificate)  # its key comes a moment later
    clock = ManualClock()
    watching = asyncio.create_task(certificates.watch(clock))
    await asyncio.sleep(0)
    clock.advance(3)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert outcomes == ["refused"]
    assert certificates.server() is before
    shutil.copy(other.key, ours.key)
    clock.advance(3)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert outcomes == ["refused", "taken"]
    assert certificates.server() is not before
    watching.cancel()


@pytest.mark.parametrize("content", [None, b"", b"junk"])
def test_expiry_of_what_is_no_certificate_is_not_known(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ours.pem"
    if content is not None:
        file.write_bytes(content)
    assert expiry_of(file) is None
