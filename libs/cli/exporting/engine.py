"""Exports studies from an archive, one by one: each object goes through the de-identifier into the target."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from pydicom import dcmread

from gantry.cli.exporting.directory import KEYWORDS, Directory
from gantry.cli.exporting.names import Exported, Names
from gantry.cli.exporting.target import ExportTarget
from gantry.cli.files import DicomFile
from gantry.cli.importing.archive import DimseArchive
from gantry.cli.importing.model import Instances, Withheld
from gantry.common.deidentify.objects import Deidentifier
from gantry.common.deidentify.options import Option
from gantry.common.dicom.encoding.part10 import file_meta
from gantry.common.errors import GantryError, NotDeidentified, NotUnderstood

_PIECE = 1 << 20
_SHOWN = ("StudyDate", "StudyDescription", "SeriesNumber", "Modality", "SeriesDescription", "InstanceNumber")


@dataclass(slots=True)
class StudyExport:
    """The outcome of a study: how many instances the archive has, were exported before, are exported now, and were left
    out or failed, by reason."""

    study: str
    instances: int = 0
    already: int = 0
    exported: int = 0
    bytes: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    reason: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether the whole study is in the target."""
        return not (self.left_out or self.failed or self.reason)


@dataclass(slots=True)
class Export:
    """One export. `directory` is the DICOMDIR of DICOM media, else None."""

    archive: DimseArchive
    target: ExportTarget
    names: Names
    deidentifier: Deidentifier | None
    directory: Directory | None
    spool: Path | None
    _paths: dict[str, PurePosixPath] = field(default_factory=dict)

    def resume(self, folder: Path | None) -> None:
        """Continue with the objects that an earlier run left in `folder`."""
        for exported, path in self.target.earlier_objects():
            self._paths[exported.instance] = path
            self.names.learn(exported, path)
            if self.directory is not None and folder is not None:
                self.directory.add(exported, path, _header(folder / path))

    async def run(
        self, studies: Sequence[str], tell: Callable[[StudyExport], None], *, may_raise: bool = True
    ) -> list[StudyExport]:
        """Export all of these studies; calls `tell` after each. Raises a `GantryError` only if the first one fails, for
        example because the archive is away, and only with `may_raise`; else an error is the reason of its study."""
        done: list[StudyExport] = []
        for uid in studies:
            outcome = StudyExport(uid)
            try:
                await self._study(outcome)
            except GantryError as error:
                if may_raise and not done:
                    raise
                outcome.reason = str(error)
            done.append(outcome)
            tell(outcome)
        return done

    @property
    def count(self) -> int:
        """The number of objects in the target."""
        return len(self._paths)

    async def _missing_instances(self, outcome: StudyExport) -> Instances:
        instances = await self.archive.instances(outcome.study)
        outcome.instances = len(instances)
        if not instances:
            outcome.reason = "the archive does not have this study"
        wanted = {uid: instance for uid, instance in instances.items() if self._exported_uid(uid) not in self._paths}
        outcome.already = len(instances) - len(wanted)
        return wanted

    async def _study(self, outcome: StudyExport) -> None:
        wanted = await self._missing_instances(outcome)
        came: set[str] = set()
        with TemporaryDirectory(prefix="gantry-export-", dir=self.spool) as folder:
            async for batch in self.archive.fetch(outcome.study, wanted, Path(folder)):
                for file in batch:
                    if isinstance(file, Withheld):
                        outcome.failed[file.sop_instance_uid] = f"the archive did not send it: {file.reason}"
                        continue
                    came.add(file.sop_instance_uid)
                    await asyncio.to_thread(self._put, file, outcome)
        for uid in wanted:
            if uid not in came:
                outcome.failed.setdefault(uid, "the archive did not send it")

    def _put(self, file: DicomFile, outcome: StudyExport) -> None:
        """Move one object from the spool into the target; nothing is written of a refused object."""
        part = file.path.with_suffix(".export")
        try:
            self._write(file, part)
            header = _header(part)
            exported = _exported(header)
            path = self.names.path(exported)
            size = part.stat().st_size
            self.target.put(part, path, exported)
            if self.directory is not None:
                self.directory.add(exported, path, header)
            self._paths[exported.instance] = path
            outcome.exported += 1
            outcome.bytes += size
        except NotDeidentified as error:
            outcome.left_out[file.sop_instance_uid] = str(error)
        except NotUnderstood as error:
            outcome.failed[file.sop_instance_uid] = str(error)
        finally:
            part.unlink(missing_ok=True)
            file.path.unlink(missing_ok=True)

    def _write(self, file: DicomFile, part: Path) -> None:
        """Write a preamble of zeros and our own file meta information (PS3.10 7.1)."""
        sop_class, uid, pieces = file.sop_class_uid, file.sop_instance_uid, _pieces(file)
        if self.deidentifier is not None:
            result = self.deidentifier.deidentified(pieces, file.transfer_syntax_uid)
            sop_class, uid, pieces = result.sop_class_uid, result.sop_instance_uid, result.pieces
        with part.open("wb") as target:
            target.write(file_meta(sop_class, uid, file.transfer_syntax_uid))
            target.writelines(pieces)

    def _exported_uid(self, uid: str) -> str:
        if self.deidentifier is None or Option.UIDS in self.deidentifier.profile.options:
            return uid
        return self.deidentifier.pseudonyms.uid(uid)


def _pieces(file: DicomFile) -> Iterator[bytes]:
    with file.path.open("rb") as source:
        source.seek(file.offset)
        while piece := source.read(_PIECE):
            yield piece


_TAGS = [*KEYWORDS, "SOPClassUID", "SOPInstanceUID", "SpecificCharacterSet"]


def _header(path: Path) -> dict[str, Any]:
    """The attributes for paths and directories, in the DICOM JSON model, and the transfer syntax of the file."""
    data_set = dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
    header: dict[str, Any] = data_set.to_json_dict(suppress_invalid_tags=True)
    header["meta"] = {"syntax": str(data_set.file_meta.TransferSyntaxUID), "text": _text(data_set)}
    return header


def _text(data_set: Any) -> dict[str, str]:
    wanted = (*_SHOWN, "PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
    return {keyword: str(data_set.get(keyword) or "") for keyword in wanted}


def _exported(header: dict[str, Any]) -> Exported:
    texts = header["meta"]["text"]
    return Exported(
        texts["PatientID"], texts["StudyInstanceUID"], texts["SeriesInstanceUID"], texts["SOPInstanceUID"],
        texts["SOPClassUID"], header["meta"]["syntax"], {keyword: texts[keyword] for keyword in _SHOWN},
    )  # fmt: skip
