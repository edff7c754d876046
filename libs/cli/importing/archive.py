"""An archive over DIMSE, as the source (C-FIND with C-GET or C-MOVE) or as the target of comparisons."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from pydicom.dataset import Dataset

from gantry.cli.files import DicomFile, look
from gantry.cli.identifiers import BOTH, encode, identifier, text
from gantry.cli.importing.model import ATTRIBUTES, Instance, Instances, Study, Withheld, by_series, in_portions
from gantry.cli.importing.windows import FIRST, ListingCompleteness, WindowAnswer, all_studies
from gantry.cli.query import FindResult, ask
from gantry.cli.retrieve import FolderService, get_to
from gantry.common.dicom.encoding.values import whole_number
from gantry.common.dicom.standard.sop_classes import STUDY_ROOT_FIND, STUDY_ROOT_GET, STUDY_ROOT_MOVE
from gantry.common.dimse import Command
from gantry.common.errors import AssociationAborted, ContextNotAccepted, PeerError, PeerTimeout
from gantry.common.net import Peer, connect, scu
from gantry.common.net.getting import get_contexts, usual_classes
from gantry.common.statuses import SUCCESS, status_words

_COUNT = "NumberOfStudyRelatedInstances"
_PORTION = 100
"""SOP Instance UIDs in one request: a list of them is a unique key (PS3.4 C.4.2.2.1, C.4.3.2.1)."""
_CLASSES = 8
"""SOP classes in one request: with more, there are not enough contexts for each class in each transfer syntax."""


class NotListed(PeerError):
    """A peer answered a query with a failure."""


@dataclass(slots=True)
class DimseArchive:
    """One archive. `keys` select studies; `most` is the number of matches that it returns for one query."""

    peer: Peer
    timeout: float
    today: date
    keys: Sequence[str] = ()
    most: int = 500
    complete: ListingCompleteness = field(default_factory=lambda: ListingCompleteness([]))

    # ---- what there is

    async def studies(self) -> AsyncIterator[Study]:
        """See `Source`."""
        first, last, dated = self._span()
        async for study in all_studies(self._ask, first, last, self.complete, dated=dated):
            yield study

    async def instances(self, study: str) -> Instances:
        """See `Source`."""
        above = [f"StudyInstanceUID={study}"]
        by_uid: dict[str, Instance] = {}
        async with connect(self.peer, [(STUDY_ROOT_FIND, BOTH)]) as association:

            async def find_all(level: str, keys: Sequence[str]) -> list[Dataset]:
                query = identifier(level, keys)
                answer = await ask(association, STUDY_ROOT_FIND, query, timeout=self.timeout)
                return _need(answer).matches

            for series in await find_all("SERIES", [*above, "SeriesInstanceUID"]):
                uid = text(series, "SeriesInstanceUID")
                keys = [*above, f"SeriesInstanceUID={uid}", "SOPInstanceUID", "SOPClassUID"]
                for image in await find_all("IMAGE", keys):
                    by_uid[text(image, "SOPInstanceUID")] = Instance(uid, text(image, "SOPClassUID"))
        by_uid.pop("", None)
        return by_uid

    async def study(self, uid: str) -> Study | None:
        """One study; None if the archive does not have it."""
        answer = await self._find([f"StudyInstanceUID={uid}"])
        return next(iter(_studies(_need(answer).matches)), None)

    async def close(self) -> None:
        """See `Source`."""

    # ---- what it gives

    async def fetch(self, study: str, wanted: Instances, folder: Path) -> AsyncIterator[list[DicomFile | Withheld]]:
        """See `Source`: by C-GET, series by series, in the transfer syntaxes in which the instances are stored."""
        for level, keys, classes in self._requests(study, wanted):
            service = FolderService(folder, classes)
            contexts = get_contexts(classes)
            try:
                final = await get_to(self.peer, service, contexts, STUDY_ROOT_GET, level, keys, timeout=self.timeout)
                why = _why(final)
            except (AssociationAborted, PeerTimeout, ContextNotAccepted) as error:
                why = str(error)
            files = [file for path in service.received if isinstance(file := look(path), DicomFile)]
            came = {file.sop_instance_uid for file in files}
            uids = keys[-1].partition("=")[2].split("\\")
            yield [*files, *(Withheld(uid, f"C-GET: {why}") for uid in uids if uid not in came)]

    async def move(self, study: str, wanted: Instances, destination: str) -> str:
        """Request by C-MOVE that the archive sends these instances to an AE title that it knows. Returns the error in
        words, "" on success."""
        failures: list[str] = []
        async with connect(self.peer, [(STUDY_ROOT_MOVE, BOTH)]) as association:
            context = scu.need_context(association, STUDY_ROOT_MOVE)
            for level, keys, _ in self._requests(study, wanted):
                query = encode(identifier(level, keys), context)
                responses = scu.move(association, STUDY_ROOT_MOVE, query, destination, timeout=self.timeout)
                async for response, _ in responses:
                    final = response
                if final.status != SUCCESS:
                    failures.append(_why(final))
        return "; ".join(dict.fromkeys(failures))

    # ---- inside

    def _requests(self, study: str, wanted: Instances) -> list[tuple[str, list[str], list[str]]]:
        """Retrieval requests for these instances: level, keys, and the SOP classes of the objects."""
        requests = []
        for series, uids in by_series(wanted).items():
            above = [f"StudyInstanceUID={study}", f"SeriesInstanceUID={series}"]
            by_class: dict[str, list[str]] = {}
            for uid in uids:
                by_class.setdefault(wanted[uid].sop_class_uid, []).append(uid)
            for classes in in_portions(list(by_class), _CLASSES):
                known = [uid for uid in classes if uid] if "" not in classes else usual_classes()
                for portion in in_portions([uid for sop_class in classes for uid in by_class[sop_class]], _PORTION):
                    requests.append(("IMAGE", [*above, "SOPInstanceUID=" + "\\".join(portion)], known))
        return requests

    def _span(self) -> tuple[date, date, bool]:
        """First and last day of the queries, and whether the user gave dates."""
        for key in self.keys:
            name, _, value = key.partition("=")
            if name == "StudyDate" and value:
                date_range = str(identifier("STUDY", [key]).StudyDate)
                since, dash, until = date_range.partition("-")
                first = _day(since) or FIRST
                return first, (_day(until) or self._tomorrow()) if dash else first, True
        return FIRST, self._tomorrow(), False

    def _tomorrow(self) -> date:
        return self.today + timedelta(days=1)

    async def _ask(self, dates: str, times: str) -> WindowAnswer:
        keys = [key for key in self.keys if key.partition("=")[0] != "StudyDate"]
        answer = await self._find([*keys, f"StudyDate={dates}", f"StudyTime={times}"])
        cut = answer.status != SUCCESS or len(answer.matches) >= self.most
        if answer.status != SUCCESS and not answer.matches and dates and "-" not in dates and not times:
            _need(answer)
        return WindowAnswer(_studies(answer.matches), cut)

    async def _find(self, keys: Sequence[str]) -> FindResult:
        names = {key.partition("=")[0] for key in keys}
        also = [key for key in ("StudyInstanceUID", *ATTRIBUTES, _COUNT) if key not in names]
        async with connect(self.peer, [(STUDY_ROOT_FIND, BOTH)]) as association:
            return await ask(association, STUDY_ROOT_FIND, identifier("STUDY", [*keys, *also]), timeout=self.timeout)


def _need(answer: FindResult) -> FindResult:
    if answer.status != SUCCESS:
        message = ": ".join(filter(None, (status_words(answer.status), answer.comment)))
        raise NotListed(f"a query was answered with {message}")
    return answer


def _why(final: Command | None) -> str:
    """Why instances did not arrive, according to the final response of a retrieval."""
    if final is None:
        return "no final response"
    if final.status == SUCCESS:
        return "it answered with success, but did not send it"
    return ": ".join(filter(None, (status_words(final.status), final.comment)))


def _studies(matches: Sequence[Dataset]) -> list[Study]:
    studies = []
    for match in matches:
        uid, count = text(match, "StudyInstanceUID"), text(match, _COUNT)
        attributes = {name: text(match, name) for name in ATTRIBUTES if name in match}
        if uid:
            studies.append(Study(uid, attributes, whole_number(count)))
    return studies


def _day(digits: str) -> date | None:
    return date(int(digits[:4]), int(digits[4:6]), int(digits[6:])) if digits else None
