"""Inventories as files: one, or a root and its parts; the root's name comes last."""

from __future__ import annotations

from pathlib import Path

import pydicom

from gantry.common.dicom.inventory.records import InventoriedStudy, InventoryLevel, Scope
from gantry.services.maintenance.inventory_files import InventoryFiles

SCOPE = Scope(InventoryLevel.STUDY, ("20261128", "120000"))


def filled(path: Path, studies: int, most: int) -> InventoryFiles:
    files = InventoryFiles(path, SCOPE, most)
    for number in range(studies):
        files.add(InventoriedStudy(f"1.2.{number + 1}", "20261128"))
    return files


def test_a_small_inventory_is_one_file(tmp_path: Path) -> None:
    path = tmp_path / "inventory.dcm"
    assert filled(path, 3, 100).finish() == [path]
    assert list(tmp_path.iterdir()) == [path]
    assert pydicom.dcmread(path).TotalNumberOfStudyRecords == 3


def test_an_empty_archive_has_an_inventory_too(tmp_path: Path) -> None:
    path = tmp_path / "inventory.dcm"
    assert filled(path, 0, 100).finish() == [path]
    assert pydicom.dcmread(path).TotalNumberOfStudyRecords == 0


def test_a_large_one_is_a_root_and_parts(tmp_path: Path) -> None:
    path = tmp_path / "all.dcm"
    root, *parts = filled(path, 5, 2).finish()
    assert (root, [part.name for part in parts]) == (path, ["all-0001.dcm", "all-0002.dcm", "all-0003.dcm"])
    ds = pydicom.dcmread(root)
    assert (ds.NumberOfStudyRecordsInInstance, ds.TotalNumberOfStudyRecords) == (0, 5)
    named = [part.ReferencedSOPInstanceUID for part in ds.IncorporatedInventoryInstanceSequence]
    assert named == [pydicom.dcmread(part).SOPInstanceUID for part in parts]
    assert sum(len(pydicom.dcmread(part).InventoriedStudiesSequence) for part in parts) == 5


def test_what_is_broken_off_leaves_nothing(tmp_path: Path) -> None:
    files = filled(tmp_path / "inventory.dcm", 5, 2)
    assert not (tmp_path / "inventory.dcm").exists()
    files.discard()
    assert list(tmp_path.iterdir()) == []
