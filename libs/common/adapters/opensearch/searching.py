"""Searching: from the highest level that a condition narrows, down to the requested level.

Documents of a level carry terms of that level (studies also of their patient), so a search begins where conditions are
and walks down. The reference matcher checks every level before the next one is searched.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gantry.common.adapters.opensearch.client import OpenSearchClient
from gantry.common.adapters.opensearch.documents import (
    LOCATION_FIELDS,
    Attributes,
    Source,
    corrected_location,
    location_of,
    patient_counts,
    patient_id,
    study_id,
    unpack,
)
from gantry.common.adapters.opensearch.patients import counts_of_patients
from gantry.common.adapters.opensearch.schema import ORDERED, order_fields, sort_of
from gantry.common.adapters.opensearch.terms import KEYS, Clause, any_of, clause_of
from gantry.common.dicom.query.attributes import AttributeTable, Level
from gantry.common.dicom.query.matching import Condition, Cursor, Predicate, Query, Single, UidList, matcher, narrowing
from gantry.common.dicom.query.ordering import signature
from gantry.common.dicom.standard.tags import SERIES_INSTANCE_UID, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from gantry.common.errors import NotUnderstood
from gantry.common.ports.index import Location

PAGE = 500
KIND = {Level.PATIENT: "patients", Level.STUDY: "studies", Level.SERIES: "series", Level.IMAGE: "instances"}
_ABOVE = {Level.STUDY: Level.PATIENT, Level.SERIES: Level.STUDY, Level.IMAGE: Level.SERIES}
KEY_FIELDS = {
    (STUDY_INSTANCE_UID, Level.STUDY): "uid",
    (STUDY_INSTANCE_UID, Level.SERIES): "study",
    (STUDY_INSTANCE_UID, Level.IMAGE): "study",
    (SERIES_INSTANCE_UID, Level.SERIES): "uid",
    (SERIES_INSTANCE_UID, Level.IMAGE): "series",
    (SOP_INSTANCE_UID, Level.IMAGE): "uid",
}
FIELDS: dict[Level, list[str]] = {
    Level.PATIENT: ["uid", "attributes", "variants"],
    Level.STUDY: ["uid", "patient", "was", "demographics", "attributes"],
    Level.SERIES: ["uid", "study", "attributes"],
    Level.IMAGE: [*LOCATION_FIELDS, "attributes"],
}


_COUNTS = ("studies", "series", "instances")
Listed = dict[str, Any]
"""The part of a search's body with the order, and the position to continue after."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A document, and its attributes with those of the levels above."""

    source: Source
    attributes: Attributes


class Searcher:
    """Searches the indices called `names`, by kind."""

    def __init__(self, client: OpenSearchClient, names: Mapping[str, str]) -> None:
        self._client = client
        self._names = names

    async def matches(self, query: Query, after: Cursor = ()) -> AsyncIterator[list[Hit]]:
        """The matches, in pages that may be empty; sorted by UIDs, which do not change, or, for studies, in an
        order."""
        walk = SearchWalk(query, after)
        async for rows in self._rows(query.level, walk):
            yield rows

    async def locations(self, query: Query) -> AsyncIterator[list[Location]]:
        """The current objects below the matches, in pages, grouped by series."""
        async for rows in self.matches(query):
            if query.level is Level.IMAGE:
                yield await self.located([row.source for row in rows])
                continue
            async for clause in self._below(query, rows):
                filters = [*_of(query.partition), *clause]
                async for hits in self._pages("instances", filters, list(LOCATION_FIELDS)):
                    yield await self.located(hits)

    async def resolved(self, partition: str, uids: Sequence[str]) -> dict[str, list[Location]]:
        """The current objects of all instances of these SOP Instance UIDs, the earliest receipt first."""
        by_uid: dict[str, list[Source]] = {}
        filters = [*_of(partition), {"terms": {"uid": list(uids)}}]
        async for sources in self._pages("instances", filters, list(LOCATION_FIELDS), size=2 * len(uids)):
            for source in sources:
                by_uid.setdefault(source["uid"], []).append(source)
        return {
            uid: await self.located(sorted(sources, key=lambda s: (s["first"], s["series"])))
            for uid, sources in by_uid.items()
        }

    async def located(self, sources: Sequence[Source]) -> list[Location]:
        """The locations of instances, with their corrections, from the documents of their studies."""
        ids = {study_id(source["partition"], source["study"]) for source in sources}
        results = await self._client.get(self._names["studies"], list(ids), ("applied",)) if ids else {}
        studies = {id_: result.source for id_, result in results.items()}
        return [
            corrected_location(location_of(source), studies.get(study_id(source["partition"], source["study"])))
            for source in sources
        ]

    async def _below(self, query: Query, rows: Sequence[Hit]) -> AsyncIterator[list[Clause]]:
        """The filters for the instances below rows above IMAGE."""
        if not rows:
            return
        if query.level is Level.SERIES:
            yield _same(rows, ("study", "study"), ("uid", "series"))
        elif query.level is Level.STUDY:
            yield _same(rows, ("uid", "study"))
        else:
            filters = [*_of(query.partition), *_same(rows, ("uid", "patient"))]
            async for hits in self._pages("studies", filters, ["uid"]):
                yield [{"terms": {"study": [source["uid"] for source in hits]}}]

    async def _rows(self, level: Level, walk: SearchWalk) -> AsyncIterator[list[Hit]]:
        test = walk.tests[level]
        if level is walk.begin:
            async for sources in self._pages(
                KIND[level], walk.filters(level), walk.fields(level), walk.query.limit, listed=walk.listed
            ):
                if level is Level.PATIENT:
                    candidates = [_matching_patient(source, test) for source in sources]
                    yield [row for row in candidates if row is not None]
                    continue
                rows = await self._with_above(level, walk.query.partition, sources)
                yield [row for row in rows if test(row.attributes)]
            return
        async for parents in self._rows(_ABOVE[level], walk):
            if not parents:
                continue
            if level is Level.SERIES:
                same = _same(parents, ("uid", "study"))
                ancestors: dict[tuple[str, ...], Attributes] = {(row.source["uid"],): row.attributes for row in parents}
            else:
                same = _same(parents, ("study", "study"), ("uid", "series"))
                ancestors = {(row.source["study"], row.source["uid"]): row.attributes for row in parents}
            async for sources in self._pages(KIND[level], [*walk.filters(level), *same], FIELDS[level]):
                yield [row for row in _joined(sources, ancestors, level) if test(row.attributes)]

    async def _with_above(self, level: Level, partition: str, sources: Sequence[Source]) -> list[Hit]:
        """Rows whose attributes begin with those of the levels above. A document is found only after everything above
        it: if an image is found, so is its study."""
        if level is Level.STUDY:
            keys = {source["patient"] for source in sources}
            counted = await self._patients(partition, keys)
            # When a study moves, it becomes visible before its new patient. It was found before, and stays so.
            if moved := {source["patient"] for source in sources if source.get("was")} - counted.keys():
                counted |= await counts_of_patients(self._client, self._names["studies"], partition, moved)
            above: dict[tuple[str, ...], Attributes] = {
                (key,): patient_counts(counts) for key, counts in counted.items()
            }
            return _joined(sources, above, level)
        studies = await self._studies(partition, {source["study"] for source in sources})
        if level is Level.SERIES:
            return _joined(sources, {(uid,): row.attributes for uid, row in studies.items()}, level)
        series = await self._series(partition, {(source["study"], source["series"]) for source in sources}, studies)
        return _joined(sources, series, level)

    async def _patients(self, partition: str, keys: Iterable[str]) -> dict[str, tuple[int, int, int]]:
        """How many visible studies, series and instances these patients have."""
        ids = {patient_id(partition, key): key for key in keys}
        results = await self._client.get(self._names["patients"], list(ids), _COUNTS, as_searched=True)
        sources = {key: results[id_].source or {} for id_, key in ids.items() if id_ in results}
        return {key: (p["studies"], p["series"], p["instances"]) for key, p in sources.items() if "studies" in p}

    async def _studies(self, partition: str, uids: Iterable[str]) -> dict[str, Hit]:
        ids = [study_id(partition, uid) for uid in uids]
        results = await self._client.get(self._names["studies"], ids, FIELDS[Level.STUDY], as_searched=True)
        sources = [
            result.source for result in results.values() if result.source is not None and "patient" in result.source
        ]
        return {row.source["uid"]: row for row in await self._with_above(Level.STUDY, partition, sources)}

    async def _series(
        self, partition: str, places: Iterable[tuple[str, str]], studies: Mapping[str, Hit]
    ) -> dict[tuple[str, ...], Attributes]:
        ids = [f"{partition}:{study}:{uid}" for study, uid in places]
        results = await self._client.get(self._names["series"], ids, FIELDS[Level.SERIES], as_searched=True)
        sources = [
            result.source for result in results.values() if result.source is not None and "attributes" in result.source
        ]
        rows = _joined(sources, {(uid,): row.attributes for uid, row in studies.items()}, Level.SERIES)
        return {(row.source["study"], row.source["uid"]): row.attributes for row in rows}

    async def _pages(
        self,
        kind: str,
        filters: Sequence[Clause],
        fields: list[str],
        limit: int | None = None,
        size: int = PAGE,
        listed: Listed | None = None,
    ) -> AsyncIterator[list[Source]]:
        """The documents that pass, page by page. A listing of more than one page continues at a point in time; until
        then its sort keys make it safe: documents do not move within it, except studies in an order."""
        longest = max(PAGE, size)
        size = longest if limit is None else max(1, min(limit, longest))
        body: dict[str, Any] = {
            "size": size,
            "query": {"bool": {"filter": list(filters)}},
            "sort": sort_of(kind),
            "track_total_hits": False,
            "_source": fields,
            **(listed or {}),
        }
        hits = (await self._client.search(self._names[kind], body))["hits"]["hits"]
        yield [hit["_source"] for hit in hits]
        if len(hits) < size:
            return
        body["size"] = longest
        async with self._client.point_in_time(self._names[kind]) as pit:
            while len(hits) == size:
                size = longest
                body |= {"pit": pit, "search_after": hits[-1]["sort"][: len(body["sort"])]}
                answer = await self._client.search(None, body)
                pit["id"] = answer.get("pit_id", pit["id"])
                hits = answer["hits"]["hits"]
                yield [hit["_source"] for hit in hits]


class SearchWalk:
    """Where a query begins, and the conditions for each level on the way."""

    def __init__(self, query: Query, after: Cursor = ()) -> None:
        self._ordered_after: Cursor = ()
        if query.order:
            self._ordered_after, after = _in_order(query, after), ()
        if after and (len(after) != len(sort_of(KIND[query.level])) or not all(isinstance(v, str) for v in after)):
            raise NotUnderstood("the cursor is not of this listing")
        self.query = query
        self._narrowing = narrowing(query)
        self._after = after
        narrowed = {query.attributes.level_of(tag) for tag in self._narrowing if tag not in KEYS}
        if query.one_of:
            narrowed.add(Level.STUDY)
        self.begin = query.level
        for level in () if _is_named(query) else (Level.SERIES, Level.STUDY):
            if level.depth < query.level.depth and any(
                condition_level.depth <= level.depth for condition_level in narrowed
            ):
                self.begin = level
        self.tests = {level: _test(query, level) for level in Level}

    def filters(self, level: Level) -> list[Clause]:
        """The clauses that the documents of a level must pass."""
        clauses = _of(self.query.partition)
        for tag, condition in self._narrowing.items():
            clause = clause_on(tag, condition, level, self.query.attributes)
            if clause is not None:
                clauses.append(clause)
        if level is Level.STUDY and (seen := clause_of_alternatives(self.query)) is not None:
            clauses.append(seen)
        if self._after:
            fields = sort_of(KIND[level])
            # Of the levels above, the one at the current position is not finished.
            clauses.append(_behind(fields, self._after[: len(fields)], itself=level is not self.query.level))
        return clauses

    @staticmethod
    def partition_of(query: Query) -> list[Clause]:
        """The clauses that every live document of a query's partition passes."""
        return _of(query.partition)

    def fields(self, level: Level) -> list[str]:
        """The fields that are read from documents of a level."""
        ordered = [field for field, _ in order_fields(self.query.order)] if self.query.order else []
        return [*FIELDS[level], *ordered]

    @property
    def listed(self) -> Listed | None:
        """The sort of ordered studies."""
        if not self.query.order:
            return None
        sort = [{field: "desc" if down else "asc"} for field, down in order_fields(self.query.order)]
        return {"sort": sort, "search_after": list(self._ordered_after)} if self._ordered_after else {"sort": sort}


def _in_order(query: Query, after: Cursor) -> Cursor:
    """The values after which an ordered listing continues. Raises `NotUnderstood` for an order that studies do not
    have, and for a position that is not in it."""
    if query.level is not Level.STUDY or any(key.tag not in ORDERED for key in query.order):
        raise NotUnderstood("not an order of studies")
    if not after:
        return ()
    numbers = [ORDERED[key.tag] in ("series", "instances") for key in query.order]
    kinds = [str, *[int if number else str for number in numbers], str]
    fits = len(after) == len(kinds) and all(type(v) is kind for v, kind in zip(after, kinds, strict=True))
    if not fits or after[0] != signature(query.order) or any(isinstance(v, int) and abs(v) >= 1 << 31 for v in after):
        raise NotUnderstood("the cursor is not of this listing")
    return after[1:]


def _behind(fields: Sequence[str], values: Cursor, *, itself: bool) -> Clause:
    """The filter for documents after these values or, with `itself`, also at them."""
    beyond: Clause = {"range": {fields[0]: {"gt" if len(fields) > 1 or not itself else "gte": values[0]}}}
    if len(fields) == 1:
        return beyond
    same = [{"term": {fields[0]: values[0]}}, _behind(fields[1:], values[1:], itself=itself)]
    return any_of([beyond, {"bool": {"filter": same}}])


def place_of(query: Query, row: Hit) -> Cursor:
    """The position of a row in the listing of a query."""
    if query.order:
        values = [
            row.source["o"].get(f[2:], "") if f.startswith("o.") else row.source[f]
            for f, _ in order_fields(query.order)
        ]
        return (signature(query.order), *values)
    level = query.level
    return tuple([row.source[field] for field in sort_of(KIND[level])])


def clause_on(tag: int, condition: Condition, level: Level, table: AttributeTable) -> Clause | None:
    """The clause of a condition that documents of a level must pass; None if it does not narrow them."""
    if tag in KEYS:
        field = KEY_FIELDS.get((tag, level))
        uids = uids_of(condition)
        return None if field is None or uids is None else {"terms": {field: list(uids)}}
    tag_level = table.level_of(tag)
    if tag_level is level:
        return clause_of(tag, condition, "t", table)
    if tag_level is Level.PATIENT and level is Level.STUDY and not table.by_tag[tag].computed:
        return clause_of(tag, condition, "p", table)
    return None


def clause_of_alternatives(query: Query) -> Clause | None:
    """The clause of `one_of` that documents of studies must pass; None if one of them narrows nothing."""
    alternatives: list[Clause] = []
    for alternative in query.one_of:
        clauses = [clause_on(tag, c, Level.STUDY, query.attributes) for tag, c in alternative.items()]
        narrow = [clause for clause in clauses if clause is not None]
        if not narrow:
            return None
        alternatives.append({"bool": {"filter": narrow}})
    return any_of(alternatives) if alternatives else None


def _is_named(query: Query) -> bool:
    """Whether a query names series or instances: no condition on levels above them is more selective."""
    return any(
        (tag, query.level) in KEY_FIELDS and uids_of(query.conditions[tag]) is not None
        for tag in (SERIES_INSTANCE_UID, SOP_INSTANCE_UID)
        if tag in query.conditions
    )


def uids_of(condition: Condition) -> tuple[str, ...] | None:
    """The UIDs that a condition names, if it names them."""
    if isinstance(condition, UidList):
        return condition.uids
    return condition.values if isinstance(condition, Single) else None


def _test(query: Query, level: Level) -> Predicate:
    """The conditions on attributes of a level and of those above."""
    conditions = {t: c for t, c in query.conditions.items() if query.attributes.level_of(t).depth <= level.depth}
    one_of = query.one_of if level.depth >= Level.STUDY.depth else ()
    return matcher(replace(query, level=level, conditions=conditions, one_of=one_of))


def _of(partition: str) -> list[Clause]:
    return [{"term": {"partition": partition}}, {"term": {"live": True}}]


def _same(rows: Sequence[Hit], *fields: tuple[str, str]) -> list[Clause]:
    """The clauses for documents below rows: `fields` are a field of the rows and the matching one below."""
    return [{"terms": {below: sorted({row.source[field] for row in rows})}} for field, below in fields]


def _joined(sources: Sequence[Source], ancestors: Mapping[tuple[str, ...], Attributes], level: Level) -> list[Hit]:
    rows = []
    for source in sources:
        if level is Level.STUDY:
            above = ancestors.get((source["patient"],))
        else:
            above = ancestors.get((source["study"],) if level is Level.SERIES else (source["study"], source["series"]))
        if above is not None:
            own = unpack(source["demographics"]) if level is Level.STUDY else {}
            rows.append(Hit(source, own | above | unpack(source["attributes"])))
    return rows


def _matching_patient(source: Source, test: Predicate) -> Hit | None:
    """A patient with the values of its earliest matching study; None if none matches."""
    for packed in (source["attributes"], *source["variants"]):
        attributes = unpack(packed)
        if test(attributes):
            return Hit(source, attributes)
    return None
