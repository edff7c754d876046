"""A modality made of dcmjs-dimse: its worklist, N-CREATE and N-SET, each once too often."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from tests.support.archive import RunningArchive
from tests.support.dcmjs_modality import DcmjsModality
from tests.support.worklist import OrdersClient, ordered, scheduled

pytestmark = pytest.mark.timeout(400)  # the first run fetches dcmjs-dimse


@pytest.fixture
def dcmjs(tmp_path: Path) -> DcmjsModality:
    modality = DcmjsModality(tmp_path / "dcmjs")
    if missing := modality.missing():
        pytest.skip(missing)
    return modality


def test_a_modality_of_dcmjs_performs_what_was_ordered(dcmjs: DcmjsModality, tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    archive = RunningArchive(tmp_path / "archive")
    archive.write_policy([], "http: {may_order: [loopback]}\norders: {idle_days: 0}\n")
    archive.start()
    try:
        orders = OrdersClient(archive)
        orders.place(ordered(1, scheduled("S1"), scheduled("S2", Modality="MR"), PatientName="Müller^Jörg"))
        report = dcmjs.perform(archive.port, "A1", generate_uid())
        # PS3.7 10.1.5.1.6: a duplicate; PS3.4 F.7.2.2.2: what is over is not updated.
        assert report == {"found": 1, "statuses": [0x0000, 0x0111, 0x0000, 0x0110]}
        assert orders.states("A1") == {"S1": "COMPLETED", "S2": "SCHEDULED"}
        status, performed = orders.ask("GET", "/A1/performed")
        assert status == 200
        assert "Müller^Jörg" in json.dumps(performed, ensure_ascii=False)
        assert archive.alive, archive.log.read_text()
    finally:
        archive.stop()
