"""An archive with data in every section of the page's Operations."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import generate_uid

from gantry.cli.identifiers import BOTH
from gantry.common.dicom.standard.sop_classes import VERIFICATION
from gantry.common.errors import AssociationRejected
from gantry.common.net import Peer, connect, scu
from tests.crash.test_dead_letters import publish_without_object
from tests.support.archive import RunningArchive
from tests.support.asking import Modality
from tests.support.objects import data_set, study, write

OPERATOR = {
    "GANTRY_HTTP__MAY_OPERATE": "loopback",
    "GANTRY_HTTP__MAY_DELETE": "loopback",
    "GANTRY_HTTP__MAY_HOLD": "loopback",
}
POLICY = """upkeep: {seal_every: 0.5}
lifecycle:
  retention:
    - {name: minors, keep: 10y, younger_than: 18}
    - {name: routine, keep: 1m, then: delete}
"""
_SAID = {"PatientID": "4711", "AccessionNumber": "A200", "StudyDescription": "CT chest", "StudyDate": "20240102"}


@dataclass(frozen=True)
class Operated:
    """Its content: the UIDs of an instance in conflict and of its study, and the study's accession number."""

    conflict: str
    study: str
    accession: str


def peers(archive: RunningArchive) -> Sequence[str]:
    """A policy with the archive itself as a peer, which answers, and others."""
    return (
        f"{{ae_title: GANTRY, host: 127.0.0.1, port: {archive.port}, may: [echo]}}",
        "{ae_title: CT1, host: 192.0.2.3, from: [127.0.0.0/8], port: 104, may: [store, commit, echo]}",
        "{ae_title: MR_NORTH, host: 192.0.2.8, port: 11112, may: [store]}",
        "{ae_title: READING_ROOM, host: 192.0.2.40, port: 104, may: [find, retrieve], move_destination: true}",
        "{ae_title: TEST_SCU, host: 127.0.0.1, may: [store, echo, find]}",
    )


async def operate(archive: RunningArchive, folder: Path) -> Operated:
    """Store a conflict, an event whose object is missing, and holds; call with an unknown AE title."""
    uids = {"study": generate_uid(), "series": generate_uid(), "instance": generate_uid()}
    ct = Peer("127.0.0.1", archive.port, "GANTRY", "CT1")
    for number, name in enumerate(("Okafor^Amara", "Okafor^Amarah"), 1):
        file = write(folder / f"{number}.dcm", data_set(**uids, number=number, name=name, size=64, **_SAID))
        await Modality(ct, [file]).send_all()
        await asyncio.sleep(0.5)
    await publish_without_object(archive, study(folder / "away", 1, name="Away^Ann")[0])
    for on in ("study", "patient"):
        await asyncio.to_thread(_hold, archive, uids["study"], on)
    for title in ("CT_NEW", "STATION7"):
        try:
            async with connect(Peer("127.0.0.1", archive.port, "GANTRY", title), [(VERIFICATION, BOTH)]) as calls:
                await scu.echo(calls)
        except AssociationRejected:
            continue
    async with asyncio.timeout(60):
        while _get(archive, "conflicts")["count"] < 1 or _get(archive, "letters")["count"] < 1:
            await asyncio.sleep(0.2)
        while len(_get(archive, "peers")["refused"]) < 2:
            await asyncio.sleep(0.2)
        while any(process["state"] != "ready" for process in _get(archive, "health")["processes"]):
            await asyncio.sleep(0.5)
    return Operated(uids["instance"], uids["study"], _SAID["AccessionNumber"])


def _hold(archive: RunningArchive, uid: str, on: str) -> None:
    url = f"http://127.0.0.1:{archive.http_port}/dicom-web/studies/{uid}/holds?reason=a+trial"
    body, headers = json.dumps({"on": on}).encode(), {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=30).close()


def _get(archive: RunningArchive, path: str) -> dict:  # type: ignore[type-arg]
    with urllib.request.urlopen(
        f"http://127.0.0.1:{archive.http_port}/dicom-web/operations/{path}", timeout=30
    ) as answer:
        return dict(json.load(answer))
