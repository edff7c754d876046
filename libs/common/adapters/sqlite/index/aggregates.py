"""Series, studies and patients, recomputed from their instances, so that no count can drift."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from typing import Any

import msgpack

from gantry.common.adapters.sqlite.index.effects import effect
from gantry.common.adapters.sqlite.index.schema import NARROW, ORDER_TEXTS, SEVERAL
from gantry.common.dicom.encoding.values import text_of
from gantry.common.dicom.query import dates
from gantry.common.dicom.query.attributes import AttributeTable, Level
from gantry.common.dicom.query.ordering import order_text
from gantry.common.dicom.query.person_names import fold_name, sounds_of, words_of
from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION,
    MODALITIES_IN_STUDY,
    MODALITY,
    PATIENT_ID,
    PATIENT_NAME,
    STUDY_DATE,
    STUDY_DESCRIPTION,
)
from gantry.common.dicom.standard.vrs import vr_of
from gantry.common.lifecycle import Correction, corrected

_Attributes = dict[int, list[Any]]


def refresh(
    connection: sqlite3.Connection, series: Iterable[int], attributes: AttributeTable, corrected: Iterable[int] = ()
) -> None:
    """Update these series, their studies and patients, and studies whose corrections have changed; empty ones are
    deleted."""
    studies = {_series(connection, number, attributes) for number in sorted(series)} | set(corrected)
    patients: set[int] = set()
    for number in sorted(studies):
        patients |= _study(connection, number, attributes)
    for number in sorted(patients):
        _patient(connection, number, attributes)


def unpack(packed: bytes) -> _Attributes:
    """Attributes from their stored form."""
    attributes: _Attributes = msgpack.unpackb(packed, strict_map_key=False)
    return attributes


def unpack_list(packed: bytes) -> list[_Attributes]:
    """Several sets of attributes from their stored form."""
    several: list[_Attributes] = msgpack.unpackb(packed, strict_map_key=False)
    return several


def _of_level(above: _Attributes, tags: frozenset[int]) -> _Attributes:
    return {tag: value for tag, value in above.items() if tag in tags}


def _above(connection: sqlite3.Connection, series: int, receipt: str) -> _Attributes:
    """The attributes above IMAGE of the elected instance of a series."""
    (packed,) = connection.execute(
        "SELECT above FROM instance WHERE series_id = ? AND receipt = ? ORDER BY uid LIMIT 1", (series, receipt)
    ).fetchone()
    return unpack(packed)


def above_of(connection: sqlite3.Connection, study: int) -> _Attributes | None:
    """The attributes above IMAGE of the elected instance of a study, uncorrected; None if it has none."""
    elected = connection.execute(
        "SELECT first, id FROM series WHERE study_id = ? ORDER BY first, id LIMIT 1", (study,)
    ).fetchone()
    return None if elected is None else _above(connection, elected[1], elected[0])


def _series(
    connection: sqlite3.Connection, number: int, table: AttributeTable, applied: Iterable[Correction] = ()
) -> int:
    study: int
    uid: str
    (study, uid) = connection.execute("SELECT study_id, uid FROM series WHERE id = ?", (number,)).fetchone()
    classes = connection.execute(
        "SELECT sop_class, count(*), min(receipt) FROM instance WHERE series_id = ? GROUP BY sop_class", (number,)
    ).fetchall()
    if not classes:
        connection.execute("DELETE FROM series WHERE id = ?", (number,))
        return study
    first = min(row[2] for row in classes)
    above = corrected(_above(connection, number, first), applied, uid)
    attributes = _of_level(above, table.stored_of[Level.SERIES])
    modalities = [text_of(value) for value in attributes.get(MODALITY, []) if value]
    connection.execute(
        "UPDATE series SET first = ?, attributes = ?, instances = ?, modalities = ?, sop_classes = ? WHERE id = ?",
        (
            first,
            msgpack.packb(attributes),
            sum(row[1] for row in classes),
            json.dumps(modalities),
            json.dumps([row[0] for row in classes]),
            number,
        ),
    )
    return study


def _study(connection: sqlite3.Connection, number: int, table: AttributeTable) -> set[int]:
    """Update a study. Returns the patients whose studies have changed."""
    partition, uid, before, changed = connection.execute(
        "SELECT partition, uid, patient_id, applied != X'' FROM study WHERE id = ?", (number,)
    ).fetchone()
    own = above_of(connection, number)
    if own is None:
        connection.execute("DELETE FROM study WHERE id = ?", (number,))
        return {before} - {0}
    outcome, _ = effect(connection, partition, uid, own)
    if outcome.applied or changed:
        for (below,) in connection.execute("SELECT id FROM series WHERE study_id = ?", (number,)).fetchall():
            _series(connection, below, table, outcome.applied)
    series = connection.execute(
        "SELECT first, instances, modalities, sop_classes FROM series WHERE study_id = ?", (number,)
    ).fetchall()
    first = min(row[0] for row in series)
    above = corrected(own, outcome.applied)
    attributes = _of_level(above, table.stored_of[Level.STUDY])
    patient = _patient_id(connection, partition, outcome.walk[-1])
    demographics = _demographics(above, table)
    modalities = _union(row[2] for row in series)
    connection.execute(
        "UPDATE study SET patient_id = ?, applied = ?, walk = ?, first = ?, attributes = ?, demographics = ?,"  # noqa: S608
        " pid = ?, name = ?, sounds = ?,"
        " series = ?, instances = ?, modalities = ?, sop_classes = ?, accession = ?, date = ?, description = ?,"
        " confidential = ?,"
        f" {_ORDER_SET} WHERE id = ?",
        (
            patient,
            outcome.pack(),
            json.dumps(outcome.walk),
            first,
            msgpack.packb(attributes),
            msgpack.packb(demographics),
            *_narrow_patient(demographics),
            len(series),
            sum(row[1] for row in series),
            modalities,
            _union(row[3] for row in series),
            _narrow(attributes.get(ACCESSION_NUMBER, [])),
            _narrow_date(attributes.get(STUDY_DATE, [])),
            _narrow(attributes.get(STUDY_DESCRIPTION, [])),
            _narrow(attributes.get(CONFIDENTIALITY_CONSTRAINT_ON_PATIENT_DATA_DESCRIPTION, [])) != "",
            *order_columns(attributes, demographics, modalities),
            number,
        ),
    )
    return {before, patient} - {0}


_ORDER_VRS = {tag: vr_of(tag).decode("ascii") for tag in ORDER_TEXTS}
_ORDER_SET = ", ".join([f"{column} = ?" for column in ORDER_TEXTS.values()])
_AT_ONCE = 1000


def order_columns(attributes: _Attributes, demographics: _Attributes, modalities: str) -> list[str]:
    """The order columns of a study, in the order of `ORDER_TEXTS`. `modalities` is JSON."""
    values = demographics | attributes | {MODALITIES_IN_STUDY: json.loads(modalities)}
    return [order_text(vr, values.get(tag, ())) for tag, vr in _ORDER_VRS.items()]


def fill_orders(connection: sqlite3.Connection) -> None:
    """Write the order columns of all studies, inside the open transaction: an earlier version had none."""
    last = 0
    while rows := connection.execute(
        "SELECT id, attributes, demographics, modalities FROM study WHERE id > ? ORDER BY id LIMIT ?", (last, _AT_ONCE)
    ).fetchall():
        columns = [(*order_columns(unpack(a), unpack(d), modalities), number) for number, a, d, modalities in rows]
        connection.executemany(f"UPDATE study SET {_ORDER_SET} WHERE id = ?", columns)  # noqa: S608 - names of ours
        last = rows[-1][0]


def _union(lists: Iterable[str]) -> str:
    return json.dumps(sorted({value for packed in lists for value in json.loads(packed)}))


def _patient_id(connection: sqlite3.Connection, partition: str, key: str) -> int:
    connection.execute("INSERT OR IGNORE INTO patient (partition, key) VALUES (?, ?)", (partition, key))
    number: int
    (number,) = connection.execute(
        "SELECT id FROM patient WHERE partition = ? AND key = ?", (partition, key)
    ).fetchone()
    return number


def _patient(connection: sqlite3.Connection, number: int, table: AttributeTable) -> None:
    studies, series, instances, first = connection.execute(
        "SELECT count(*), sum(series), sum(instances), min(first) FROM study WHERE patient_id = ?", (number,)
    ).fetchone()
    if not studies:
        connection.execute("DELETE FROM patient WHERE id = ?", (number,))
        return
    # Each study has its own demographics (PS3.4 C.6.2.1.2: a name may have changed in between).
    rows = connection.execute(
        "SELECT demographics FROM study WHERE patient_id = ? GROUP BY demographics ORDER BY min(first), min(uid)",
        (number,),
    )
    variants = [unpack(packed) for (packed,) in rows]
    narrowed = {_narrow_patient(variant) for variant in variants}
    pid, name, sounds = narrowed.pop() if len(narrowed) == 1 else (SEVERAL, SEVERAL, SEVERAL)
    connection.execute(
        "UPDATE patient SET first = ?, attributes = ?, studies = ?, series = ?, instances = ?, pid = ?, name = ?,"
        " sounds = ?, variants = ? WHERE id = ?",
        (
            first,
            msgpack.packb(variants[0]),
            studies,
            series,
            instances,
            pid,
            name,
            sounds,
            msgpack.packb(variants) if len(variants) > 1 else b"",
            number,
        ),
    )


def _demographics(above: _Attributes, table: AttributeTable) -> _Attributes:
    """The patient attributes of a study, in the order of the tags, so that equal ones are equal bytes."""
    return dict(sorted(_of_level(above, table.stored_of[Level.PATIENT]).items()))


def _narrow_patient(demographics: _Attributes) -> tuple[str, str, str]:
    """Patient ID, name and its phonetic codes, as the narrowing columns hold them."""
    name = _narrow_name(demographics.get(PATIENT_NAME, []))
    return _narrow(demographics.get(PATIENT_ID, [])), name, _sounds(name)


def _narrow(values: list[Any]) -> str:
    texts = [text_of(value) for value in values if value]
    return SEVERAL if len(texts) > 1 else texts[0][:NARROW] if texts else ""


def _narrow_name(values: list[Any]) -> str:
    folded = [fold_name(text_of(value)) for value in values if value]
    several = len(folded) > 1 or any("=" in name for name in folded)
    return SEVERAL if several else folded[0][:NARROW] if folded else ""


def _sounds(name: str) -> str:
    """The phonetic codes of a narrowed name."""
    if name == SEVERAL or len(name) >= NARROW:
        return SEVERAL
    sounds = sorted({sound for word in words_of(name) for sound in sounds_of(word)})
    return f" {' '.join(sounds)} " if sounds else ""


def _narrow_date(values: list[Any]) -> str:
    days = [dates.date(text_of(value)) for value in values if value]
    return SEVERAL if len(days) > 1 or None in days else days[0] or "" if days else ""
