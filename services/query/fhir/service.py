"""Read and search of ImagingStudy and Patient (https://hl7.org/fhir/R4/http.html)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import date
from functools import partial

from aiohttp import web

from gantry.common.access import Facts
from gantry.common.dicom.query.attributes import Level
from gantry.common.dicom.query.matching import Document, Query, Single
from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.dicom.standard.tags import ISSUER_OF_PATIENT_ID, PATIENT_ID, SERIES_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.common.fhir.capabilities import capability_statement
from gantry.common.fhir.identifiers import Systems
from gantry.common.fhir.resources import imaging_study, patient, series_of
from gantry.common.fhir.searches import FhirSearch, search_of
from gantry.common.ids import DEFAULT_PARTITION
from gantry.common.ports.index import ReadIndex
from gantry.common.subscriptions.r5 import topic_r5
from gantry.common.subscriptions.resources import Urls
from gantry.common.web.errors import HttpProblem
from gantry.common.web.fhir_answers import Body, answered, base_of, check_format, is_strict, link
from gantry.common.web.routes import BASE, FHIR_R5, Match, Resource
from gantry.common.web.server import CALLER, Handler
from gantry.common.web.urls import base_url
from gantry.services.query.matches import count_of, page_of
from gantry.services.query.qido_parameters import cursor_of, place_of

MOST_INSTANCES = 20_000
"""Most instances of a study that is read; a study with more is returned without them."""
_TYPES = ("ImagingStudy", "Patient")


class FhirService:
    """The handler of `Resource.FHIR`."""

    def __init__(
        self,
        index: ReadIndex,
        public_url: str | None,
        systems: Systems,
        version: str,
        today: date,
        topic: str = "",
    ) -> None:
        """`public_url` as in `SearchService`; the capability statement is dated `today`. `topic` is the canonical URL
        of the topic of subscriptions, "" if there is none."""
        self._index = index
        self._public_url = public_url
        self._systems = systems
        self._has_topic = bool(topic)
        self._statement = partial(capability_statement, version, today.isoformat(), topic=topic)

    def handlers(self) -> dict[Resource, Handler]:
        """The handlers for the HTTP server."""
        return {Resource.FHIR: self.handle}

    async def handle(self, request: web.BaseRequest, match: Match) -> web.StreamResponse:
        """Answer any request below the base."""
        return await answered(request, self._answer(request, match.rest))

    async def _answer(self, request: web.BaseRequest, rest: Sequence[str]) -> Body:
        root, base = base_url(request, self._public_url), base_of(request)
        check_format(request)
        if tuple(rest) == ("metadata",):
            return self._statement(root + base)
        if self._has_topic and base == FHIR_R5 and rest and rest[0] == "SubscriptionTopic" and len(rest) <= 2:
            return _topic(Urls(root + base, root + BASE), rest[1:])
        if not rest or rest[0] not in _TYPES or len(rest) > 2:
            raise HttpProblem(
                404,
                f"no such resource: there are {', '.join(_TYPES)}, ServiceRequest, Subscription, metadata",
            )
        if len(rest) == 2:
            return await self._read(rest[0], rest[1], root, request[CALLER].identity.facts)
        facts = request[CALLER].identity.facts
        search = search_of(
            rest[0],
            list(request.query.items()),
            self._systems,
            strict=is_strict(request),
            record=facts.record,
            patients=facts.patients,
        )
        return await self._search(search, rest[0], root, base)

    async def _read(self, kind: str, name: str, root: str, facts: Facts) -> Body:
        search = search_of(kind, [("_id", name)], self._systems) if name else FhirSearch(Level.STUDY, nothing=True)
        documents = [] if search.query is None else (await page_of(self._index, search.query, 1))[0]
        if not documents:
            raise HttpProblem(404, f"there is no such {kind}")
        if kind == "Patient":
            made = patient(documents[0].attributes, self._systems)
            if made is None:
                raise HttpProblem(404, f"there is no such {kind}")
            return made
        return _named(
            imaging_study(documents[0].attributes, self._systems, root + BASE, await self._series(documents[0])),
            documents[0],
            facts.record,
            facts.patients,
        )

    async def _series(self, study: Document) -> list[Body]:
        """The series of a study, with their instances unless these are too many."""
        uid = str(study.attributes[STUDY_INSTANCE_UID][0])
        zone = next(iter(study.attributes.get(TAGS["TimezoneOffsetFromUTC"]) or ()), "")
        instances: dict[str, list[Document]] = {}
        documents = await self._all(Level.IMAGE, uid, MOST_INSTANCES + 1)
        if len(documents) <= MOST_INSTANCES:
            for document in documents:
                instances.setdefault(str(document.attributes[SERIES_INSTANCE_UID][0]), []).append(document)
        series = sorted(await self._all(Level.SERIES, uid), key=_number_of("SeriesNumber"))
        return await asyncio.to_thread(_made, series, instances, str(zone))

    async def _all(self, level: Level, study: str, most: int | None = None) -> list[Document]:
        query = Query(DEFAULT_PARTITION, level, {STUDY_INSTANCE_UID: Single((study,))}, limit=most)
        return [document async for page in self._index.find(query) for document in page]

    async def _search(self, search: FhirSearch, kind: str, root: str, base: str) -> Body:
        url = f"{root}{base}/{kind}"
        bundle: Body = {"resourceType": "Bundle", "type": "searchset", "link": [link("self", url, search.used)]}
        query = search.query
        if search.only_total or search.with_total:
            bundle["total"] = 0 if query is None else await count_of(self._index, query)
        if query is None or search.only_total:
            return bundle
        documents, more = await page_of(self._index, query, search.count, after=place_of(search.cursor))
        bundle["entry"] = await asyncio.to_thread(self._entries, documents, search, kind, root, base)
        if not bundle["entry"]:
            del bundle["entry"]
        if more:
            parameters = [(name, value) for name, value in search.used if name != "_cursor"]
            bundle["link"].append(link("next", url, [*parameters, ("_cursor", cursor_of(documents[-1].place))]))
        return bundle

    def _entries(
        self, documents: Iterable[Document], search: FhirSearch, kind: str, root: str, base: str
    ) -> list[Body]:
        entries: dict[str, Body] = {}
        for document in documents:
            if kind == "Patient":
                made = [(patient(document.attributes, self._systems), "match")]
            else:
                study = imaging_study(document.attributes, self._systems, root + BASE)
                made = [(_named(study, document, search.record, search.patients), "match")]
                if search.with_patients:
                    made.append((patient(document.attributes, self._systems), "include"))
            for resource, mode in made:
                if resource is not None:
                    place = f"{root}{base}/{resource['resourceType']}/{resource['id']}"
                    entries.setdefault(place, {"fullUrl": place, "resource": resource, "search": {"mode": mode}})
        return list(entries.values())


def _topic(urls: Urls, rest: Sequence[str]) -> Body:
    """The topic of subscriptions, or a list with it alone."""
    topic = topic_r5(urls)
    if rest:
        if rest[0] != topic["id"]:
            raise HttpProblem(404, "there is no such SubscriptionTopic")
        return topic
    entry = {"fullUrl": topic["url"], "resource": topic, "search": {"mode": "match"}}
    url = link("self", f"{urls.fhir}/SubscriptionTopic", ())
    return {"resourceType": "Bundle", "type": "searchset", "total": 1, "link": [url], "entry": [entry]}


def _named(study: Body, document: Document, record: str, patients: Collection[tuple[str, str]]) -> Body:
    """A study of the patient in the caller's health record gets the Patient of that record as its subject, as apps
    expect (SMART Imaging Access)."""
    patient_id, issuer = (str((document.attributes.get(t) or ("",))[0]) for t in (PATIENT_ID, ISSUER_OF_PATIENT_ID))
    if record and any(identifier == patient_id and assigner in ("", issuer) for identifier, assigner in patients):
        study["subject"]["reference"] = record
    return study


def _made(series: Sequence[Document], instances: dict[str, list[Document]], zone: str) -> list[Body]:
    made = []
    for document in series:
        members = sorted(
            instances.get(str(document.attributes[SERIES_INSTANCE_UID][0]), ()), key=_number_of("InstanceNumber")
        )
        made.append(series_of(document.attributes, zone, [each.attributes for each in members]))
    return made


def _number_of(keyword: str) -> Callable[[Document], tuple[int, str]]:
    uid = SERIES_INSTANCE_UID if keyword == "SeriesNumber" else TAGS["SOPInstanceUID"]

    def number(document: Document) -> tuple[int, str]:
        try:
            value = int((document.attributes.get(TAGS[keyword]) or ("",))[0])
        except (TypeError, ValueError):
            value = 1 << 31
        return value, str(document.attributes[uid][0])

    return number
