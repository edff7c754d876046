"""Content items of structured reports (PS3.3 C.17.3)."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset


def code(meaning: str, value: str = "1") -> Dataset:
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, "99X", meaning
    return ds


def item(kind: str, name: str = "", relationship: str = "CONTAINS", **more: Any) -> Dataset:
    ds = Dataset()
    ds.ValueType, ds.RelationshipType = kind, relationship
    if name:
        ds.ConceptNameCodeSequence = [code(name)]
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    return ds
