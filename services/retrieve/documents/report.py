"""A structured report as a document: text for a terminal or a page, or HTML (PS3.18 8.7.4). Pure.

The content of an object is shown as text, never as markup. Items below a finding are indented.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape

from gantry.common.dicom.standard.tags import (
    ACCESSION_NUMBER,
    COMPLETION_FLAG,
    CONTENT_DATE,
    CONTENT_TIME,
    INSTITUTION_NAME,
    PATIENT_BIRTH_DATE,
    PATIENT_ID,
    PATIENT_NAME,
    PRELIMINARY_FLAG,
    STUDY_DATE,
    STUDY_DESCRIPTION,
    VERIFICATION_DATE_TIME,
    VERIFICATION_FLAG,
    VERIFYING_OBSERVER_NAME,
    VERIFYING_OBSERVER_SEQUENCE,
    VERIFYING_ORGANIZATION,
)
from gantry.services.retrieve.documents.content import (
    Attributes,
    ContentItem,
    content_of,
    date,
    date_time,
    items_of,
    person,
    text_of,
    time,
)

_INDENT = "  "
_DEEPEST_HEADING = 6
_FLAGS = {
    "PARTIAL": "partial",
    "COMPLETE": "complete",
    "UNVERIFIED": "not verified",
    "VERIFIED": "verified",
    "PRELIMINARY": "preliminary",
    "FINAL": "final",
}
"""PS3.3 C.17.2: Completion Flag, Verification Flag and Preliminary Flag."""
_STYLE = (
    "body{font:14px/1.45 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem;"
    "color:#1c2024;background:#fff}"
    "h1{font-size:1.4rem}h2,h3,h4,h5,h6{font-size:1.05rem;margin:1.2em 0 .3em}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:0}dt{color:#5a6370}dd{margin:0}"
    "section{margin-left:1rem}p{margin:.2em 0;white-space:pre-wrap;overflow-wrap:anywhere}b{font-weight:600}"
)


@dataclass(frozen=True, slots=True)
class _Report:
    title: str
    head: tuple[tuple[str, str], ...]
    root: ContentItem


def report_as_text(data_set: Attributes) -> str:
    """The report in lines that end with one newline each."""
    report = _report(data_set)
    lines = [report.title, "=" * len(report.title), *[f"{name}: {value}" for name, value in report.head]]
    for item in report.root.items:
        lines += _lines(item, 0)
    return "".join([f"{line}\n" for line in lines])


def report_as_html(data_set: Attributes) -> str:
    """The report as an HTML document of its own, that refers to nothing else."""
    report = _report(data_set)
    head = "".join([f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in report.head])
    body = "".join([piece for item in report.root.items for piece in _markup(item, 2)])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(report.title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(report.title)}</h1><dl>{head}</dl>{body}</body></html>\n"
    )


def _report(data_set: Attributes) -> _Report:
    root = content_of(data_set)
    born = date(text_of(data_set, PATIENT_BIRTH_DATE))
    patient = [person(data_set, PATIENT_NAME), text_of(data_set, PATIENT_ID), born]
    study = [date(text_of(data_set, STUDY_DATE)), text_of(data_set, STUDY_DESCRIPTION)]
    written = [date(text_of(data_set, CONTENT_DATE)), time(text_of(data_set, CONTENT_TIME))]
    flags = [_FLAGS.get(text_of(data_set, tag), "") for tag in (COMPLETION_FLAG, PRELIMINARY_FLAG, VERIFICATION_FLAG)]
    head = (
        ("Patient", ", ".join(filter(None, patient))),
        ("Study", ", ".join(filter(None, study))),
        ("Accession number", text_of(data_set, ACCESSION_NUMBER)),
        ("Written", " ".join(filter(None, written))),
        ("State", ", ".join(filter(None, flags))),
        *[("Verified by", _observer(item)) for item in items_of(data_set, VERIFYING_OBSERVER_SEQUENCE)],
        ("Institution", text_of(data_set, INSTITUTION_NAME)),
    )
    return _Report(root.name or "Report", tuple([(name, value) for name, value in head if value]), root)


def _observer(item: Attributes) -> str:
    """Who verified the report, when, and for which organisation (PS3.3 C.17.2)."""
    since = date_time(text_of(item, VERIFICATION_DATE_TIME))
    parts = (person(item, VERIFYING_OBSERVER_NAME), since, text_of(item, VERIFYING_ORGANIZATION))
    return ", ".join(filter(None, parts))


def _lines(item: ContentItem, depth: int) -> Iterator[str]:
    name, margin = _named(item), _INDENT * depth
    if item.is_container:
        if not depth:
            yield ""
        yield f"{margin}{name or 'Section'}"
    else:
        first, *more = item.value.splitlines() or [""]
        yield f"{margin}{name}: {first}" if name else f"{margin}{first}"
        for line in more:
            yield f"{margin}{_INDENT}{line}".rstrip()
    for below in item.items:
        yield from _lines(below, depth + 1)


def _markup(item: ContentItem, level: int) -> Iterator[str]:
    name = escape(_named(item))
    if item.is_container:
        heading = f"h{min(level, _DEEPEST_HEADING)}"
        yield f"<{heading}>{name or 'Section'}</{heading}>"
    else:
        value = escape(item.value)
        yield f"<p><b>{name}:</b> {value}</p>" if name else f"<p>{value}</p>"
    if item.items:
        yield "<section>"
        for below in item.items:
            yield from _markup(below, level + 1)
        yield "</section>"


def _named(item: ContentItem) -> str:
    return f"{item.name} ({item.relationship})" if item.name and item.relationship else item.name or item.relationship
