"""What ingest refuses, as pure functions: PS3.4 B.2.3 statuses for UIDs that are invalid or do not agree."""

from __future__ import annotations

from gantry.common.dicom.encoding.part10 import FileMeta
from gantry.common.dicom.scan.scanner import Scan
from gantry.common.dimse import Command
from gantry.common.errors import MismatchedDataSet, NotUnderstood, RefusedDataSet
from gantry.common.ids import is_uid
from gantry.common.ul import AcceptedContext


def refuse_command(command: Command, context: AcceptedContext) -> RefusedDataSet | None:
    """Why a C-STORE request is refused before its data set is examined; None if it is not refused."""
    if not is_uid(command.sop_instance_uid):
        return NotUnderstood("affected sop instance uid is not a uid")
    if command.sop_class_uid != context.abstract_syntax:
        return MismatchedDataSet("sop class differs from the presentation context")
    return None


def refuse_file(meta: FileMeta) -> RefusedDataSet | None:
    """Why a Part 10 file is refused before its data set is examined; None if it is not refused. The SOP class and
    instance in its file meta information may be missing or wrong: the data set has them, too."""
    if not is_uid(meta.transfer_syntax_uid):
        return NotUnderstood("file meta information names no transfer syntax")
    return None


def check_agreement(scan: Scan, sop_class_uid: str, sop_instance_uid: str, study_instance_uid: str | None) -> None:
    """Never store under one UID and index under another: raises `MismatchedDataSet` (A900H).

    The UIDs are those of the command or of the file meta information; `study_instance_uid` is that of a STOW-RS path.
    """
    if scan.sop_instance_uid != sop_instance_uid:
        raise MismatchedDataSet("sop instance uid differs from the command's")
    if scan.sop_class_uid != sop_class_uid:
        raise MismatchedDataSet("sop class uid differs from the command's")
    if study_instance_uid is not None and scan.study_instance_uid != study_instance_uid:
        raise MismatchedDataSet("study instance uid differs from the path's")
