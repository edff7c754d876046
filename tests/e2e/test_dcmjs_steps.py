"""A modality made of dcmjs-dimse: its worklist, N-CREATE and N-SET, each once too often."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from tests.support.archive import ROOT, RunningArchive
from tests.support.worklist import OrdersClient, ordered, scheduled

pytestmark = pytest.mark.timeout(400)  # the first run fetches dcmjs-dimse


@pytest.fixture
def node(tmp_path: Path) -> Path:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed, which fetches dcmjs-dimse")
    folder = Path(shutil.copytree(ROOT / "tests/support/dcmjs", tmp_path / "dcmjs"))
    command = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
    if subprocess.run(command, cwd=folder, capture_output=True, timeout=240, check=False).returncode:
        pytest.skip("npm cannot fetch dcmjs-dimse")
    return folder


def test_a_modality_of_dcmjs_performs_what_was_ordered(node: Path, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    archive = RunningArchive(tmp_path / "archive")
    archive.write_policy([], "http: {may_order: [loopback]}\norders: {idle_days: 0}\n")
    archive.start()
    try:
        orders = OrdersClient(archive)
        orders.place(ordered(1, scheduled("S1"), scheduled("S2", Modality="MR"), PatientName="Müller^Jörg"))
        command = ["node", "performs.js", str(archive.port), "A1", generate_uid()]
        done = subprocess.run(command, cwd=node, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout.splitlines()[-1])
        # PS3.7 10.1.5.1.6: a duplicate; PS3.4 F.7.2.2.2: what is over is not updated.
        assert said == {"found": 1, "statuses": [0x0000, 0x0111, 0x0000, 0x0110]}
        assert orders.states("A1") == {"S1": "COMPLETED", "S2": "SCHEDULED"}
        status, performed = orders.ask("GET", "/A1/performed")
        assert status == 200
        assert "Müller^Jörg" in json.dumps(performed, ensure_ascii=False)
        assert archive.alive, archive.log.read_text()
    finally:
        archive.stop()
