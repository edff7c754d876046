"""What ingest refuses before and after it has looked (PS3.4 B.2.3)."""

from __future__ import annotations

import pytest

from gantry.common.dicom.encoding.part10 import FileMeta
from gantry.common.dicom.scan.header import ScanLimits
from gantry.common.dicom.scan.scanner import Scan, Scanner
from gantry.common.dimse import Command, CommandField, Element
from gantry.common.errors import MismatchedDataSet
from gantry.common.ul import AcceptedContext
from gantry.services.ingest.checks import check_agreement, refuse_command, refuse_file
from tests.support.elements import Made

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"
CONTEXT = AcceptedContext(1, CT, EXPLICIT)


def command(sop_class: str = CT, instance: str = "1.2.3") -> Command:
    return Command(
        {
            Element.AFFECTED_SOP_CLASS_UID: sop_class,
            Element.COMMAND_FIELD: int(CommandField.C_STORE_RQ),
            Element.MESSAGE_ID: 1,
            Element.AFFECTED_SOP_INSTANCE_UID: instance,
        }
    )


def scan() -> Scan:
    scanner = Scanner(EXPLICIT, ScanLimits())
    scanner.feed(Made(instance="1.2.3", study="1.2", series="1.2.1").data)
    return scanner.finish()


def test_a_command_that_fits_its_context_is_not_refused() -> None:
    assert refuse_command(command(), CONTEXT) is None


@pytest.mark.parametrize("instance", ["", "..", "../../etc", "1.2.x", "1" * 65])
def test_an_instance_that_is_no_uid_is_not_understood(instance: str) -> None:
    refusal = refuse_command(command(instance=instance), CONTEXT)
    assert refusal is not None
    assert refusal.dicom_status == 0xC000
    assert instance not in str(refusal) or not instance


def test_a_class_that_is_not_that_of_the_context_does_not_match() -> None:
    """PS3.7 9.1.1.1.3; A900H."""
    refusal = refuse_command(command(sop_class=MR), CONTEXT)
    assert refusal is not None
    assert refusal.dicom_status == 0xA900


@pytest.mark.parametrize(("syntax", "refused"), [(EXPLICIT, False), ("1.2.3", False), ("", True), ("x", True)])
def test_a_file_must_say_its_transfer_syntax_and_nothing_else(syntax: str, refused: bool) -> None:
    """Class and instance are in the data set, too."""
    assert (refuse_file(FileMeta(0, "", "", syntax)) is not None) is refused


def test_names_that_agree_are_taken() -> None:
    check_agreement(scan(), CT, "1.2.3", None)
    check_agreement(scan(), CT, "1.2.3", "1.2")


@pytest.mark.parametrize(
    ("names", "word"),
    [((MR, "1.2.3", None), "class"), ((CT, "1.2.4", None), "instance"), ((CT, "1.2.3", "1.3"), "study")],
)
def test_nothing_is_stored_under_another_name(names: tuple[str, str, str | None], word: str) -> None:
    with pytest.raises(MismatchedDataSet, match=word) as error:
        check_agreement(scan(), *names)
    assert error.value.dicom_status == 0xA900
    assert "1.2" not in str(error.value)
