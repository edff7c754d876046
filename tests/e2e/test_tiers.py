"""DCMTK sends studies, rules put them into the cold store, and DCMTK fetches them: it is told where they are, and gets
the same bytes as before, by C-GET and by C-MOVE."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from gantry.cli.files import DicomFile
from tests.crash.test_upkeep import gantry
from tests.support.archive import RunningArchive
from tests.support.asking import uids_of
from tests.support.dcmtk import StoreScp, content, find, ok
from tests.support.objects import bytes_of, sample, study
from tests.support.ports import free_port
from tests.support.waiting import wait_found


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[tuple[RunningArchive, int]]:
    """It runs, and C-MOVE goes to DEST on a port."""
    folder, port = tmp_path / "archive", free_port()
    folder.mkdir()
    running = RunningArchive(folder)
    store = f"{{name: cold, url: 'file://{folder}/cold'}}"
    running.write_policy(
        [f"{{ae_title: DEST, host: 127.0.0.1, port: {port}, may: [], move_destination: true}}"],
        f"tiers: {{stores: [{store}], every: 0, grace: 0, rules: [{{name: old, after: 1y, to: cold}}]}}\n",
    )
    yield running.start(), port
    running.stop()


def fetched(folder: Path, port: int, files: Sequence[DicomFile], *address: object) -> dict[str, tuple[str, bytes]]:
    """What C-MOVE brings, by SOP Instance UID."""
    with StoreScp(folder, "DEST", port=port) as destination:
        for uid in {uids_of(file)[0] for file in files}:
            key = f"StudyInstanceUID={uid}"
            ok("movescu", "-S", "-aem", "DEST", "-k", "QueryRetrieveLevel=STUDY", "-k", key, *address)
        return {uid: content(path) for uid, path in destination.received().items()}


def test_dcmtk_is_told_that_studies_are_nearline_and_gets_them_bit_for_bit(
    archive: tuple[RunningArchive, int], tmp_path: Path
) -> None:
    running, port = archive
    address = "-aet", "MODALITY", "-aec", "GANTRY", "127.0.0.1", running.port
    plain = study(tmp_path / "plain", 3, series=2, StudyDate="20190105")
    compressed = sample(tmp_path / "compressed", "JPEG2000.dcm", StudyDate="20180105")
    files = [*plain, compressed]
    ok("storescu", "-R", *address, *(file.path for file in plain))
    ok("storescu", "-R", "-xw", *address, compressed.path)
    for file in files:
        wait_found(running.peer, file)
    keys = ("-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "-k", "InstanceAvailability")
    assert [match.InstanceAvailability for match in find(address, tmp_path / "a", *keys)] == ["ONLINE", "ONLINE"]
    before = fetched(tmp_path / "before", port, files, *address)
    assert len(before) == 4
    moved = gantry(running, "tiers")
    assert moved.returncode == 0, moved.stderr
    assert not list((running.folder / "data" / "objects" / "objects").rglob("*.dcm"))
    assert len(list((running.folder / "cold" / "objects").rglob("*.dcm"))) == 4
    assert [match.InstanceAvailability for match in find(address, tmp_path / "b", *keys)] == ["NEARLINE", "NEARLINE"]
    assert fetched(tmp_path / "after", port, files, *address) == before
    (tmp_path / "got").mkdir()
    ok("getscu", "+B", "-od", tmp_path / "got", "-S", "-k", "QueryRetrieveLevel=STUDY",
       "-k", f"StudyInstanceUID={uids_of(plain[0])[0]}", *address)  # fmt: skip
    got = sorted(content(path)[1] for path in (tmp_path / "got").iterdir())
    assert got == sorted(bytes_of(file) for file in plain)
