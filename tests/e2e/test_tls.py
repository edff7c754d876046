"""TLS end to end: a real archive, the command line, and C-MOVE to a destination that wants TLS too."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gantry.cli.identifiers import BOTH, encode, identifier
from gantry.cli.retrieve import FolderService
from gantry.common.config.tls import client_context, server_context
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_MOVE, VERIFICATION
from gantry.common.errors import PeerError
from gantry.common.net import Peer, Server, connect, scu
from tests.support.archive import ROOT, RunningArchive
from tests.support.asking import Modality, get, uids_of, wait_for
from tests.support.certificates import Authority, Pair, settings
from tests.support.network import OpenDoor, Silence
from tests.support.objects import CT, bytes_of, data_set, study, write
from tests.support.ports import free_port
from tests.support.tls_profile import require_profile


@dataclass
class Secured:
    """An archive that takes TLS with certificates of both sides, and who signed them."""

    archive: RunningArchive
    authority: Authority
    modality: Pair
    destination_port: int

    @property
    def peer(self) -> Peer:
        return dataclasses.replace(
            self.archive.peer, tls=client_context(settings(self.modality, self.authority.ca)), associate_timeout=10
        )

    def gantry(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        verb, *rest = arguments
        command = [sys.executable, "-m", "gantry", verb, self.archive.address, "--timeout", "10", *rest]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("tls")
    authority = Authority(folder / "authority", "hospital")
    ours = authority.sign("archive")
    port = free_port()
    peer = f"{{ae_title: DEST, host: 127.0.0.1, port: {port}, move_destination: true, tls: true}}"
    known = "{ae_title: CT1, host: 127.0.0.1, may: [echo], tls: true, certificate: [modality]}"
    archive = RunningArchive(folder, peers=[peer, known])
    env = {"CERTIFICATE": str(ours.certificate), "KEY": str(ours.key), "CA": str(authority.ca)}
    archive.start(env={f"GANTRY_TLS__{name}": value for name, value in env.items()})
    yield Secured(archive, authority, authority.sign("modality"), port)
    assert archive.stop() == 0


def test_echo_with_certificates_of_both_sides_succeeds(secured: Secured) -> None:
    pair = secured.modality
    certificates = ("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key))
    done = secured.gantry("echo", "--tls-ca", str(secured.authority.ca), *certificates)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0000" in done.stdout


def test_nothing_is_offered_that_is_not_in_the_profile(secured: Secured) -> None:
    require_profile(secured.archive.port, secured.modality)


def test_a_client_without_certificate_is_refused_in_words(secured: Secured) -> None:
    done = secured.gantry("echo", "--tls-ca", str(secured.authority.ca))
    assert done.returncode == 3
    assert done.stderr.startswith("gantry: ")
    assert "Traceback" not in done.stderr


def test_a_client_with_a_stranger_s_certificate_is_refused(secured: Secured, tmp_path: Path) -> None:
    pair = Authority(tmp_path, "stranger").sign("modality")
    certificates = ("--tls-cert", str(pair.certificate), "--tls-key", str(pair.key))
    done = secured.gantry("echo", "--tls-ca", str(secured.authority.ca), *certificates)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


def test_a_client_that_does_not_know_who_signed_says_so(secured: Secured, tmp_path: Path) -> None:
    done = secured.gantry("echo", "--tls-ca", str(Authority(tmp_path, "stranger").ca))
    assert done.returncode == 3
    assert "certificate" in done.stderr.lower()


async def test_an_ae_title_that_has_a_certificate_is_for_whoever_shows_that_one(secured: Secured) -> None:
    """Another certificate of the same authority is no way to a title that is not one's own."""
    as_ct1 = dataclasses.replace(secured.peer, calling_ae_title="CT1")
    async with connect(as_ct1, [(VERIFICATION, BOTH)]) as association:
        assert await scu.echo(association) == 0x0000
    other = client_context(settings(secured.authority.sign("another"), secured.authority.ca))
    with pytest.raises(PeerError, match="calling AE title is not recognised"):
        async with connect(dataclasses.replace(as_ct1, tls=other), [(VERIFICATION, BOTH)]):
            pass
    # Titles without one are for each certificate that is signed.
    async with connect(dataclasses.replace(secured.peer, tls=other), [(VERIFICATION, BOTH)]) as association:
        assert await scu.echo(association) == 0x0000


def test_a_client_without_tls_is_refused(secured: Secured) -> None:
    done = secured.gantry("echo")
    assert done.returncode == 3
    assert "Traceback" not in done.stderr


async def test_a_peer_without_tls_gets_no_association(secured: Secured) -> None:
    with pytest.raises(PeerError):
        async with connect(secured.archive.peer, [(VERIFICATION, BOTH)]):
            pass


async def test_objects_travel_both_ways_and_on_to_a_destination_with_tls(secured: Secured, tmp_path: Path) -> None:
    # Small ones, and one that is streamed.
    files = study(tmp_path / "files", 5, size=16)
    files += [write(tmp_path / "files", data_set(study=uids_of(files[0])[0], series=uids_of(files[0])[1], size=1200))]
    expected = {file.sop_instance_uid: bytes_of(file) for file in files}
    await Modality(secured.peer, files, window=4).send_all()
    key = f"StudyInstanceUID={uids_of(files[0])[0]}"
    await wait_for(secured.archive, len(files), peer=secured.peer)
    assert await get(secured.peer, tmp_path / "got", "STUDY", key) == expected
    moved = FolderService(tmp_path, [CT])
    server = Server([moved], OpenDoor(), Silence())
    theirs = server_context(settings(secured.authority.sign("destination"), secured.authority.ca))
    await server.start("127.0.0.1", secured.destination_port, tls=theirs)
    try:
        async with connect(secured.peer, [(STUDY_ROOT_MOVE, BOTH)]) as association:
            query = encode(identifier("STUDY", [key]), scu.need_context(association, STUDY_ROOT_MOVE))
            answers = [a async for a, _ in scu.move(association, STUDY_ROOT_MOVE, query, "DEST", timeout=60)]
    finally:
        await server.drain(1.0)
    assert (answers[-1].status, len(moved.received)) == (0x0000, len(files))
    for path in moved.received:
        assert path.read_bytes().endswith(expected[path.stem])
