"""Every panel of every dashboard has data, in a real Prometheus that scrapes a running archive under a small load; that
of shadow mode in test_shadow_dashboard.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gantry.cli.commit import ask
from gantry.cli.identifiers import BOTH
from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.errors import AssociationRejected
from gantry.common.net import Peer, connect, scu
from gantry.services.retrieve.sources import BytesSource
from tests.crash.test_deletion import DESTINATION, move
from tests.monitoring.prometheus import Prometheus, prometheus
from tests.monitoring.test_rules import MONITORING, generator
from tests.support.archive import RunningArchive
from tests.support.asking import Modality, find_matches, get, uids_of
from tests.support.objects import study
from tests.support.stow import files as as_body
from tests.support.stow import post
from tests.support.wire import CT, EXPLICIT

DASHBOARDS = sorted((MONITORING / "dashboards").glob("*.json"))
GIVEN = {"$__rate_interval": "1m", "$__range": "1m", "$ae": "CT1"}
CT1 = "{ae_title: CT1, host: 127.0.0.1, may: [store, find, retrieve, commit, echo]}"


def panels(path: Path) -> list[tuple[str, str]]:
    """Title and query of each panel, in the file that Grafana imports, with its variables filled in."""
    panel_queries = []
    for panel in json.loads(path.read_text())["panels"]:
        for target in panel["targets"]:
            query = target["expr"]
            for name, value in GIVEN.items():
                query = query.replace(name, value)
            panel_queries.append((panel["title"], query))
    return panel_queries


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    folder = tmp_path_factory.mktemp("monitored")
    archive = RunningArchive(folder, lab=False)
    archive.write_policy([CT1, DESTINATION], "upkeep: {seal_every: 0.2}\ncommitment: {retry_first: 0.2}\n")
    try:
        archive.start()
        with prometheus(folder, archive.http_port) as server:
            for number in range(2):
                # A series that was not there before has no rate yet: so the load comes twice.
                server.wait_scrapes(3)
                asyncio.run(load(archive, folder / str(number)))
            server.wait_scrapes(3)
            yield server
        assert archive.stop() == 0
    finally:
        archive.kill()


async def load(archive: RunningArchive, folder: Path) -> None:
    """A little of everything that a hospital does, and some that goes wrong."""
    peer = Peer("127.0.0.1", archive.port, "GANTRY", "CT1")
    files = study(folder / "files", 4)
    await Modality(peer, files).send_all()
    uid, _ = uids_of(files[0])
    async with asyncio.timeout(60):
        while not await find_matches(peer, "STUDY", f"StudyInstanceUID={uid}"):
            await asyncio.sleep(0.1)
    await get(peer, folder / "got", "STUDY", f"StudyInstanceUID={uid}")
    assert await move(peer, f"StudyInstanceUID={uid}") != 0  # nobody answers there
    references = [(file.sop_class_uid, file.sop_instance_uid) for file in files]
    assert (await ask(peer, references, wait=30.0, timeout=30.0))[0] == 0
    async with connect(peer, [(CT, [EXPLICIT])]) as association:
        junk = b"this is no data set"
        context = scu.need_context(association, CT)
        assert await scu.store(association, context, "1.2.3", BytesSource(junk), len(junk)) != 0
    with pytest.raises(AssociationRejected):
        async with connect(Peer("127.0.0.1", archive.port, "NOBODY", "CT1"), [(VERIFICATION, BOTH)]):
            pass
    (sent,) = study(folder / "sent", 1)
    assert (await asyncio.to_thread(post, archive, as_body([sent.path.read_bytes()]))).status == 200
    assert (await asyncio.to_thread(archive.http, f"/dicom-web/studies/{uid}/metadata"))[0] == 200


def test_the_files_are_those_of_their_generator() -> None:
    module = generator("dashboards")
    assert {path.stem for path in DASHBOARDS} == set(module.DASHBOARDS)
    for path in DASHBOARDS:
        assert path.read_text() == module.text(path.stem), "run deploy/monitoring/dashboards.py"


@pytest.mark.parametrize("path", [path for path in DASHBOARDS if path.stem != "shadow"], ids=lambda path: path.stem)
def test_every_panel_has_data(path: Path, monitored: Prometheus) -> None:
    empty = [(title, query) for title, query in panels(path) if not monitored.numbers(query)]
    assert not empty


def test_what_the_load_did_is_what_the_panels_say(monitored: Prometheus) -> None:
    """Data are there for a panel that asks wrongly, too."""
    expected = {
        'sum(gantry_objects_received_total{status="0000"})': 10,  # 4 by C-STORE and 1 by STOW-RS, twice
        'sum(gantry_peer_associations_total{ae_title="CT1",outcome="rejected"})': 2,
        'sum(gantry_suboperations_total{operation="C-MOVE",outcome="failed"})': 8,
        "sum(gantry_commitment_seconds_count)": 2,
        'count(up{job="gantry"} == 1)': 1,
    }
    assert {query: sum(monitored.numbers(query)) for query in expected} == expected


def test_panels_do_not_lie_on_each_other_and_names_are_used_once() -> None:
    uids = set()
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        uids.add(board["uid"])
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
        titles = [panel["title"] for panel in board["panels"]]
        assert len(set(places)) == len(places)
        assert len(set(titles)) == len(titles)
    assert len(uids) == len(DASHBOARDS) == 6
