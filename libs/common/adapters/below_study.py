"""The series or instances of one study in an order, for indices that store only studies sorted (pure but for `find`).

A study may have any number of instances: they are sorted by their order texts alone, and the documents of a page are
read again if there were too many to hold.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from gantry.common.dicom.query.attributes import UNIQUE_KEYS, Level
from gantry.common.dicom.query.matching import Cursor, Document, Query, Single, UidList
from gantry.common.dicom.query.ordering import RECEIVED, Order, rank, signature, texts_of
from gantry.common.dicom.standard.tags import STUDY_INSTANCE_UID
from gantry.common.errors import NotUnderstood

HELD = 2000
"""Documents that are held in memory."""
_PAGE = 500
_Texts = tuple[str, ...]
Find = Callable[[Query], AsyncIterator[list[Document]]]


def check(query: Query, after: Cursor) -> None:
    """Raises `NotUnderstood` for an order that is not possible, and for a place that does not fit it."""
    study = query.conditions.get(STUDY_INSTANCE_UID)
    if query.level is Level.PATIENT or not isinstance(study, Single) or len(study.values) != 1:
        raise NotUnderstood("what is below studies is ordered within one study only")
    if any(key.tag not in query.attributes.by_tag or key.tag == RECEIVED for key in query.order):
        raise NotUnderstood("not an order of this level")
    whole = len(query.order) + query.level.depth + 1
    if after and (len(after) != whole or after[0] != signature(query.order) or not all(type(v) is str for v in after)):
        raise NotUnderstood("the cursor is not of this listing")


async def in_order(find: Find, query: Query, after: Cursor) -> AsyncIterator[list[Document]]:
    """The matches of a query below one study after a place, in pages. `find` lists them in any order."""
    check(query, after)
    order, unordered = query.order, replace(query, order=(), limit=None)
    begin = rank(order, [str(text) for text in after[1:]]) if after else None
    listed: list[_Texts] = []
    held: dict[_Texts, Document] | None = {}
    async for page in find(unordered):
        for document in page:
            texts = texts_of(order, query.attributes.vr_of, document.attributes)
            if begin is None or begin < rank(order, texts):
                listed.append(texts)
                if held is not None:
                    held[texts] = document
        if held is not None and len(held) > HELD:
            held = None
    count = len(listed) if query.limit is None else query.limit
    first = heapq.nsmallest(count, listed, key=lambda texts: rank(order, texts))
    for start in range(0, len(first), _PAGE):
        batch = first[start : start + _PAGE]
        known = held if held is not None else await _documents_with(find, unordered, order, batch)
        word = signature(order)
        yield [replace(known[texts], place=(word, *texts)) for texts in batch if texts in known]


async def _documents_with(find: Find, query: Query, order: Order, batch: list[_Texts]) -> dict[_Texts, Document]:
    """The documents with these order texts, of which the last is the UID of their level."""
    own = UNIQUE_KEYS[query.level]
    named = replace(query, conditions={**query.conditions, own: UidList(tuple({texts[-1] for texts in batch}))})
    wanted = set(batch)
    documents: dict[_Texts, Document] = {}
    async for page in find(named):
        for document in page:
            texts = texts_of(order, query.attributes.vr_of, document.attributes)
            if texts in wanted:
                documents[texts] = document
    return documents
