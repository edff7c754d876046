"""Every panel of the dashboard of shadow mode has data, in a real Prometheus that scrapes a door beside Orthanc."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest

from tests.monitoring.prometheus import prometheus
from tests.monitoring.test_dashboards import panels
from tests.monitoring.test_rules import MONITORING
from tests.support.dcmtk import ok, run
from tests.support.objects import study
from tests.support.shadowed import CALLERS, Shadowed

pytestmark = pytest.mark.timeout(240)


def load(site: Shadowed, folder: Path, number: int) -> None:
    """What is the same in both, what differs, what is never asked twice; then the other archive goes away."""
    address = "-aet", "MODALITY", "-aec", "GANTRY", "127.0.0.1", site.door.port
    (file,) = study(folder / f"same{number}", 1)
    ok("dcmsend", *address, folder / f"same{number}", "+sd")
    site.wait(lambda: site.count("shadow_compared_total", operation="C-STORE") > number, "stored in both")
    uid = str(pydicom.dcmread(file.path, stop_before_pixels=True).StudyInstanceUID)
    (copy,) = site.orthanc.post("/tools/lookup", file.sop_instance_uid.encode())
    site.orthanc.delete(f"/instances/{copy['ID']}")
    keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={uid}")
    ok("findscu", *keys, *address)
    site.wait(lambda: site.count("shadow_differences_total", operation="C-FIND") > number, "different")
    run("movescu", "-aem", "MODALITY", *keys, *address)  # nobody listens there
    site.orthanc.__exit__()
    study(folder / f"late{number}", 1)
    ok("dcmsend", *address, folder / f"late{number}", "+sd")
    ok("echoscu", *address)
    site.wait(lambda: site.count("shadow_given_up_total") > number, "given up")
    site.wait(lambda: site.count("shadow_put_off_total") > number, "put off")
    site.orthanc.__enter__()
    for caller in CALLERS:
        modality = {"AET": caller, "Host": "127.0.0.1", "Port": 104}
        site.orthanc.raw(f"/modalities/{caller}", json.dumps(modality).encode(), "PUT")


def test_every_panel_has_data(tmp_path: Path) -> None:
    with (
        Shadowed(tmp_path, {}, {"spool": str(tmp_path / "spool")}) as site,
        prometheus(tmp_path, site.door.http_port) as server,
    ):
        for number in range(2):
            # A series that was not there before has no rate yet: so the load comes twice.
            load(site, tmp_path, number)
            server.wait_scrapes(3)
        dashboard_panels = panels(MONITORING / "dashboards" / "shadow.json")
        assert len(dashboard_panels) >= 12
        assert [(title, query) for title, query in dashboard_panels if not server.numbers(query)] == []
