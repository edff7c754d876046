"""The number of matches, and the n-th match, counted by the cluster if the documents' terms decide.

Terms cannot decide about wide attributes: such documents are few, and the reference matcher checks them. If the counted
documents have no terms for a condition, `total` is None, and all documents are checked.
"""

from __future__ import annotations

from typing import Any

from gantry.common.adapters.opensearch.documents import Source
from gantry.common.adapters.opensearch.schema import sort_of
from gantry.common.adapters.opensearch.searching import (
    FIELDS,
    KEY_FIELDS,
    KIND,
    Searcher,
    SearchWalk,
    clause_of_alternatives,
    clause_on,
    uids_of,
)
from gantry.common.adapters.opensearch.terms import KEYS, Clause, any_of, decides
from gantry.common.dicom.query.attributes import Attribute, Level
from gantry.common.dicom.query.matching import Condition, Cursor, Query, matcher
from gantry.common.dicom.query.ordering import signature

_BELOW = {Level.SERIES: "series", Level.IMAGE: "instances"}
"""The field of a study with the number of documents below it."""
_PASSED = 10_000
"""Studies that are skipped at once: an OpenSearch query does not return more (`index.max_result_window`)."""


class TotalsCounter(Searcher):
    """Counts in the indices called `names`, by kind."""

    async def total(self, query: Query) -> int | None:
        """The number of matches; None if the terms cannot decide."""
        level = _counted(query)
        request = _clauses_of(query, level) if level is not None else None
        if level is None or request is None:
            return None
        clauses, wide = request
        number = await self._counted(query, level, {"filter": clauses, "must_not": wide})
        return number + (await self._looked_at(query, level, [*clauses, any_of(wide)]) if wide else 0)

    async def place_behind(self, query: Query, count: int) -> Cursor | None:
        """The position after the first `count` matches; None if the terms cannot decide, or fewer match. For series and
        instances it works if they themselves have terms for all conditions."""
        level = query.level
        if level is Level.PATIENT or count < 1 or (query.order and level is not Level.STUDY):
            return None
        walk, request = SearchWalk(query), _clauses_of(query, level)
        if request is None or walk.begin is not level:
            return None
        clauses, wide = request
        body: dict[str, Any] = {
            "query": {"bool": {"filter": clauses}},
            "sort": sort_of(KIND[level]),
            "track_total_hits": False,
            "_source": False,
            **(walk.listed or {}),
        }
        if wide and await self._counted(query, level, {"filter": [*clauses, any_of(wide)]}):
            return None
        left, place = count, []
        while left:
            body["size"] = min(left, _PASSED)
            hits = (await self._client.search(self._names[KIND[level]], body))["hits"]["hits"]
            if len(hits) < body["size"]:
                return None
            left -= len(hits)
            body["search_after"] = place = hits[-1]["sort"]
        return (signature(query.order), *place) if query.order else tuple(place)

    async def _counted(self, query: Query, level: Level, clauses: dict[str, Any]) -> int:
        """The count of documents that are not wide."""
        body: dict[str, Any] = {"size": 0, "track_total_hits": True, "query": {"bool": clauses}}
        field = _BELOW[query.level] if level is not query.level else ""
        if field:
            body["aggs"] = {"below": {"sum": {"field": field}}}
        answer = await self._client.search(self._names[KIND[level]], body)
        return int(answer["aggregations"]["below"]["value"] if field else answer["hits"]["total"]["value"])

    async def _looked_at(self, query: Query, level: Level, filters: list[Clause]) -> int:
        """The count of wide documents, one by one."""
        test, number = matcher(query), 0
        field = _BELOW[query.level] if level is not query.level else ""
        async for sources in self._pages(KIND[level], filters, [*FIELDS[level], *([field] if field else [])]):
            rows = await self._with_above(level, query.partition, sources)
            number += sum(_weight(row.source, field) for row in rows if test(row.attributes))
        return number


def _clauses_of(query: Query, level: Level) -> tuple[list[Clause], list[Clause]] | None:
    """The clauses that matching documents of a level pass, and those of which undecided documents pass at least one;
    None if terms do not decide some condition."""
    clauses: list[Clause] = [*SearchWalk.partition_of(query)]
    wide: list[Clause] = []
    for tag, condition in query.conditions.items():
        clause = clause_on(tag, condition, level, query.attributes)
        if clause is None or not _decided(query, tag, condition, level):
            return None
        clauses.append(clause)
        if tag not in KEYS and (attribute := query.attributes.by_tag.get(tag)) is not None:
            wide.append(_wide(attribute, level))
    if query.one_of:
        seen = clause_of_alternatives(query)
        if level is not Level.STUDY or seen is None or not _are_alternatives_decided(query):
            return None
        clauses.append(seen)
        known = {
            query.attributes.by_tag.get(tag) for alternative in query.one_of for tag in alternative if tag not in KEYS
        }
        wide += [_wide(attribute, level) for attribute in known if attribute is not None]
    return clauses, wide


def _wide(attribute: Attribute, level: Level) -> Clause:
    return {"term": {f"{'t' if attribute.level is level else 'p'}.wide": attribute.keyword}}


def _are_alternatives_decided(query: Query) -> bool:
    return all(_decided(query, tag, c, Level.STUDY) for alternative in query.one_of for tag, c in alternative.items())


def _weight(source: Source, field: str) -> int:
    return int(source[field]) if field else 1


def _counted(query: Query) -> Level | None:
    """The level whose documents are counted: that of the query, or studies if all conditions are on them."""
    levels = {query.attributes.level_of(tag) for tag in query.conditions}
    if query.level is Level.PATIENT:
        return None
    if all(level.depth <= Level.STUDY.depth for level in levels):
        return Level.STUDY
    return query.level


def _decided(query: Query, tag: int, condition: Condition, level: Level) -> bool:
    """Whether the clause of a condition finds exactly the matches."""
    if tag in KEYS:
        return (tag, level) in KEY_FIELDS and uids_of(condition) is not None
    attribute = query.attributes.by_tag.get(tag)
    if attribute is None:
        return True  # what is in no document matches nowhere
    return decides(attribute, condition) and not (query.zone and attribute.vr in ("DA", "TM", "DT"))
