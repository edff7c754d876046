"""Shadow mode with DCMTK's wlmscpfs as the other archive's worklist."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.dcmtk import find
from tests.support.shadowed import Shadowed
from tests.support.worklist import OrdersClient, WlmScp, ordered

pytestmark = pytest.mark.timeout(120)

STEP = "ScheduledProcedureStepSequence[0]"
ASKED = (
    *("AccessionNumber", "PatientName", "PatientID", "StudyInstanceUID", "RequestedProcedureID"),
    *(f"{STEP}.{name}" for name in ("ScheduledProcedureStepID", "Modality", "ScheduledStationAETitle")),
    *(f"{STEP}.{name}" for name in ("ScheduledProcedureStepStartDate", "ScheduledProcedureStepStartTime")),
)


def test_two_worklists_are_compared_step_by_step(tmp_path: Path) -> None:
    ward = [ordered(1), ordered(2)]
    with WlmScp(tmp_path / "wlm", ward) as old:
        shadow = {"dimse": f"127.0.0.1:{old.port}", "ae_title": "GANTRY", "asks": ["worklist"]}
        with Shadowed(tmp_path, {}, shadow, "http: {may_order: [loopback]}\norders: {idle_days: 0}\n") as site:
            orders = OrdersClient(site.archive, site.door.http_port)
            orders.place(*ward)
            address = "-aet", "MODALITY", "-aec", "GANTRY", "127.0.0.1", site.door.port
            keys = [word for name in ASKED for word in ("-k", name)]
            for times, expected in ((1, 2), (2, 3)):
                site.wait(
                    lambda n=times, most=expected: len(find(address, tmp_path / f"found{n}", "-W", *keys)) == most,  # type: ignore[misc]
                    "listed",
                )
                site.wait(lambda n=times: site.count("shadow_compared_total") > n, "compared")  # type: ignore[misc]
                if times == 1:
                    same = site.count("shadow_compared_total", operation="C-FIND worklist", outcome="same")
                    assert same >= 1, site.door.log.read_text()[-2000:]
                    orders.place(ordered(3))
            site.wait(lambda: site.count("shadow_differences_total", kind="only_gantry") >= 1, "different")
            (line, *_) = [line for line in site.door.log.read_text().splitlines() if "only_gantry" in line]
            assert "1.2.840.99.3" in line
            assert "Patient" not in line.replace("PatientName", "")
            assert site.count("shadow_differences_total", kind="only_other") == 0
