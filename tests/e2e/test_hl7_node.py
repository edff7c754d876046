"""node-hl7-client as a foreign sender over mutual TLS, and what the port offers."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.archive import ROOT, RunningArchive
from tests.support.certificates import Authority, Pair
from tests.support.messages import order, patient
from tests.support.ports import free_port
from tests.support.tls_profile import require_profile
from tests.support.worklist import OrdersClient

pytestmark = pytest.mark.timeout(400)  # the first run fetches node-hl7-client


@dataclass
class Site:
    archive: RunningArchive
    port: int
    authority: Authority
    ris: Pair


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "archive"
    folder.mkdir()
    authority, port = Authority(tmp_path / "ca", "hospital"), free_port()
    ours = authority.sign("archive")
    archive = RunningArchive(folder)
    archive.write_policy(
        [],
        f"hl7: {{port: {port}, tls: true, profiles: [{{sender: 'RIS^*', authorities: ['HOSP=']}}]}}\n"
        f"tls: {{certificate: {ours.certificate}, key: {ours.key}, ca: {authority.ca}}}\n"
        f"dimse: {{tls_port: {free_port()}}}\n",
    )
    archive.start()
    try:
        yield Site(archive, port, authority, authority.sign("ris"))
        assert archive.alive, archive.log.read_text()
    finally:
        archive.stop()


def sent(site: Site, folder: Path, *messages: bytes) -> list[list[str]]:
    """What a sender of Node reads in the answer to each message: type, code, and to which it is."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed, which fetches node-hl7-client")
    node = Path(shutil.copytree(ROOT / "tests/support/hl7_node", folder / "node"))
    install = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
    if subprocess.run(install, cwd=node, capture_output=True, timeout=240, check=False).returncode:
        pytest.skip("npm cannot fetch node-hl7-client")
    files = []
    for number, message in enumerate(messages):
        files.append(node / f"{number}.hl7")
        files[-1].write_bytes(message)
    command = ["node", "sender.js", str(site.port), site.ris.key, site.ris.certificate, site.authority.ca, *files]
    done = subprocess.run(command, cwd=node, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return list(json.loads(done.stdout.splitlines()[-1]))


def test_what_node_sends_is_applied_and_what_we_answer_it_reads(site: Site, tmp_path: Path) -> None:
    answers = sent(
        site,
        tmp_path,
        order(control_id="N1"),
        order("XO", obr={4: "CTNECK^CT of the neck^LOCAL"}, control_id="N2"),
        order("ZZ", control_id="N3"),
        patient("A08", pid={5: "MÜLLER^ANNA"}, control_id="N4"),
        order("CA", control_id="N5"),
    )
    assert [answer[1:] for answer in answers] == [["AA", "N1"], ["AA", "N2"], ["AE", "N3"], ["AA", "N4"], ["AA", "N5"]]
    status, (placed,) = OrdersClient(site.archive).ask("GET", "/A100")
    assert status == 200
    assert placed["00100010"]["Value"][0]["Alphabetic"] == "MÜLLER^ANNA"
    assert OrdersClient(site.archive).states("A100") == {"S100": "CANCELLED"}


def test_the_port_offers_nothing_that_is_not_in_the_profile(site: Site) -> None:
    require_profile(site.port, site.ris)
