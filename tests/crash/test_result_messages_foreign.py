"""HL7 receivers of others that rules tell of studies, on the whole archive, in both topologies: HAPI, which takes our
messages apart by its own tables, and node-hl7-server over mutual TLS. What they refuse is tried again."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.crash.conftest import MakeArchive
from tests.crash.test_deletion import done, send
from tests.crash.test_result_messages import telling
from tests.crash.test_routing import until_delivered
from tests.support.archive import ROOT
from tests.support.asking import uids_of
from tests.support.certificates import Authority
from tests.support.hapi import plain, prepared, taking
from tests.support.objects import study
from tests.support.ports import free_port

pytestmark = pytest.mark.timeout(600)  # the first run fetches what the example needs
NAME = "Müller & Söhne|~^Jörg=山田^太郎"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed, which fetches node-hl7-server")
    folder = Path(shutil.copytree(ROOT / "tests/support/hl7_node", tmp_path_factory.mktemp("node") / "hl7"))
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
    if subprocess.run(command, cwd=folder, capture_output=True, timeout=240, check=False).returncode:
        pytest.skip("npm cannot fetch node-hl7-server")
    return folder


async def test_a_receiver_of_node_reads_what_we_tell_over_mutual_tls(
    make_archive: MakeArchive, node: Path, tmp_path: Path
) -> None:
    authority, port = Authority(tmp_path / "ca", "hospital"), free_port()
    theirs, ours = authority.sign("ris"), authority.sign("gantry")
    files = f"ca_file: {authority.ca}, cert_file: {ours.certificate}, key_file: {ours.key}"
    command = ["node", "receiver.js", str(port), str(theirs.key), str(theirs.certificate), str(authority.ca)]
    receiver = subprocess.Popen(command, cwd=node, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        archive = telling(make_archive(), port, "{name: planner, notify: [RIS]}", f", tls: true, {files}").start()
        fields = {"SpecificCharacterSet": "ISO_IR 192", "AccessionNumber": "A17"}
        sent = study(tmp_path / "files", 1, name=NAME, **fields)
        await send(archive, sent)
        await until_delivered(archive, 1)
        assert archive.stop() == 0
    finally:
        receiver.kill()
        messages = [json.loads(line) for line in receiver.communicate()[0].splitlines()]
    refused, taken = messages
    assert refused == taken
    assert taken[1:] == ["R", uids_of(sent[0])[0], "P1", "Müller & Söhne|~", "A17", "CT of something"]


async def test_hapi_reads_what_we_tell_and_is_told_again_what_it_refused(
    make_archive: MakeArchive, tmp_path: Path
) -> None:
    folder, port = await asyncio.to_thread(prepared, tmp_path / "example"), free_port()
    rule = "{name: planner, notify: [RIS], corrections: true}"
    with taking(folder, port, 3) as hapi:
        archive = telling(make_archive(), port, rule, ", facility: 'A|B^C&D'").start()
        fields = {"SpecificCharacterSet": "ISO_IR 192", "AccessionNumber": "A17"}
        files = study(tmp_path / "files", 1, name=NAME, **fields)
        await send(archive, files)
        await until_delivered(archive, 1)
        uid, _ = uids_of(files[0])
        done(archive, "correct", uid, "--set", "StudyDescription=Neck | thorax & ^more", "--reason", "wrong")
        messages = plain((await asyncio.to_thread(hapi.communicate, timeout=120))[0])
        await until_delivered(archive, 2)
        assert archive.stop() == 0
    about = f"113014 {uid} | P1 | Müller & Söhne|~ | Jörg | A17"
    refused, taken, corrected = messages
    assert refused == taken
    assert refused.partition(" ")[2] == f"R O {about} | CT of something"
    assert corrected.partition(" ")[2] == f"C C {about} | Neck | thorax & ^more"
    assert corrected.partition(" ")[0] != taken.partition(" ")[0]
