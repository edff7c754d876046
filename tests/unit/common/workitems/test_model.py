"""`gantry.common.workitems.model`."""

from gantry.common.dicom.standard.tags import SOP_CLASS_UID, SOP_INSTANCE_UID
from gantry.common.workitems import Workitem, WorkitemState, lock_of
from gantry.common.workitems.model import PROCEDURE_STEP_STATE, moment


def test_the_lock_is_a_digest_of_the_transaction_uid() -> None:
    assert lock_of("1.2.3") == lock_of("1.2.3") != lock_of("1.2.4")
    assert "1.2.3" not in lock_of("1.2.3")
    assert lock_of("") == ""


def test_the_document_has_its_uids_and_its_state() -> None:
    document = Workitem("default", "1.2", WorkitemState.IN_PROGRESS, {0x00100020: ["P1"]}, "lock").document
    assert document[SOP_INSTANCE_UID] == ["1.2"]
    assert document[SOP_CLASS_UID] == ["1.2.840.10008.5.1.4.34.6.1"]
    assert document[PROCEDURE_STEP_STATE] == ["IN PROGRESS"]
    assert document[0x00100020] == ["P1"]


def test_a_moment_is_a_value_of_dt() -> None:
    assert moment(1_767_600_000_999_999) == "20260105080000+0000"
