"""The data dictionary (PS3.6 6 to 8) from pydicom, and nothing else of pydicom.

Its package imports numpy and all of its pixel decoders: 40 MB and a third of a second in every process, most of which
need only the names of tags. So the one module with the table is loaded by itself, from pydicom's own folder.
"""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

Entry = tuple[str, str, str, str, str]
"""VR, VM, name, "Retired" or nothing, keyword."""


def _load() -> tuple[dict[int, Entry], dict[str, Entry]]:
    package: ModuleSpec | None = find_spec("pydicom")
    folders = (package.submodule_search_locations or []) if package is not None else []
    for folder in folders:
        spec = spec_from_file_location(f"{__name__}_table", Path(folder) / "_dicom_dict.py")
        if spec is not None and spec.loader is not None:
            module = module_from_spec(spec)
            spec.loader.exec_module(module)
            return module.DicomDictionary, module.RepeatersDictionary
    raise ImportError("pydicom is not installed, whose data dictionary is needed")


DICTIONARY, _REPEATERS = _load()
"""Entries by tag, without repeating groups."""

TAGS: dict[str, int] = {entry[4]: tag for tag, entry in DICTIONARY.items() if entry[4]}
"""By keyword."""

# PS3.5 7.6: "60xx3000" is any tag with these digits in the places that are not "x".
_MASKS = [
    (int(mask.replace("x", "0"), 16), int("".join("0" if digit == "x" else "F" for digit in mask), 16), entry)
    for mask, entry in _REPEATERS.items()
]


def entry_of(tag: int) -> Entry | None:
    """The dictionary's entry of a tag; None if there is none."""
    entry = DICTIONARY.get(tag)
    if entry is None and not tag & 0x10000:
        entry = next((row for value, fixed, row in _MASKS if tag & fixed == value), None)
    return entry


def keyword_of_tag(tag: int) -> str:
    """The keyword of a tag; "" if it has none."""
    entry = entry_of(tag)
    return entry[4] if entry is not None else ""
