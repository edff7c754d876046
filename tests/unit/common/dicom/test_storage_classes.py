"""The storage SOP classes: all that pynetdicom knows."""

from __future__ import annotations

from pynetdicom import sop_class

from libs.common.dicom.storage_classes import STORAGE_SOP_CLASSES


def test_every_storage_sop_class_that_pynetdicom_knows_is_there() -> None:
    known = {keyword: str(uid) for keyword, uid in sop_class._STORAGE_CLASSES.items()}
    assert known.items() <= STORAGE_SOP_CLASSES.items()


def test_no_uid_is_there_twice() -> None:
    assert len(set(STORAGE_SOP_CLASSES.values())) == len(STORAGE_SOP_CLASSES)
