"""The attributes that the settings make searchable, as a table for the index."""

from __future__ import annotations

import re

from gantry.common.config.settings import Settings
from gantry.common.config.store_sections import SearchableAttribute
from gantry.common.dicom.query.attributes import ATTRIBUTES, Attribute, AttributeTable, Level
from gantry.common.dicom.standard.dictionary import TAGS, keyword_of_tag
from gantry.common.dicom.standard.vrs import BULK_VRS, LONG_VRS, SHORT_VRS, vr_of
from gantry.common.errors import ConfigError, DependencyUnavailable
from gantry.common.ports.index import SearchIndex
from gantry.common.telemetry.logs import get_logger

_SETTING = "index.attributes"
_NUMBER = re.compile(r"\(?([0-9A-Fa-f]{4}),? ?([0-9A-Fa-f]{4})\)?")
_VRS = (SHORT_VRS | LONG_VRS) - BULK_VRS - {b"SQ"}
_MOST = 200
logger = get_logger("index")


def searchable(settings: Settings) -> AttributeTable:
    """The attributes for which an index is created. Raises `ConfigError` for an attribute that cannot be searched."""
    added = [_attribute(attribute) for attribute in settings.index.attributes]
    if len(added) > _MOST:
        raise ConfigError(_SETTING, None, f"more than {_MOST} attributes")
    tags = [attribute.tag for attribute in added]
    for attribute in added:
        if tags.count(attribute.tag) > 1:
            raise ConfigError(_SETTING, None, f"{attribute.keyword}: is listed twice")
    return AttributeTable(added)


async def say_what_is_missing(settings: Settings, index: SearchIndex) -> None:
    """Log a warning if the index was created for other attributes than the settings name; nothing if it is
    unavailable."""
    wanted = searchable(settings)
    try:
        table = await index.attributes()
    except DependencyUnavailable:
        return
    names = [attribute.keyword for attribute in wanted.added if attribute not in table.added]
    gone = [attribute.keyword for attribute in table.added if attribute not in wanted.added]
    if names or gone:
        logger.warning(
            "the search index was made for other attributes: run `gantry reindex`", not_yet=names, no_longer=gone
        )


def _attribute(setting: SearchableAttribute) -> Attribute:
    tag = _tag(setting.attribute)
    if tag is None:
        raise _refusal(setting, "is neither a keyword nor a number like 0010,21C0")
    if tag & 0x10000:
        return _private(setting, tag)
    if setting.creator or setting.vr:
        raise _refusal(setting, "is not private: it has no creator, and its vr is known")
    keyword, vr = keyword_of_tag(tag), vr_of(tag)
    if not keyword or not 0x0008 <= tag >> 16 < 0x7FE0:
        raise _refusal(setting, "is not an attribute of objects in the data dictionary")
    if vr in BULK_VRS:
        raise _refusal(setting, f"is binary ({vr.decode()}): nothing can be searched in it")
    known = ATTRIBUTES.get(tag)
    if known is not None:
        # Indices filter and count by standard attributes, so these cannot get another level.
        raise _refusal(setting, f"can be searched already, as an attribute of the {known.level.value} level")
    return Attribute(tag, keyword, vr.decode("ascii"), Level(setting.level))


def _private(setting: SearchableAttribute, tag: int) -> Attribute:
    """PS3.5 7.8.1."""
    if not setting.creator.strip() or setting.vr.encode() not in _VRS:
        raise _refusal(setting, "is private: it needs its creator, and a vr that is text or a number")
    if (tag & 0xFF00) != 0x1000 or tag >> 16 < 9:
        raise _refusal(setting, "must be written with the first block of its group: gggg,10ee")
    return Attribute(tag, f"{tag:08X}", setting.vr, Level(setting.level), creator=setting.creator.strip())


def _tag(name: str) -> int | None:
    number = _NUMBER.fullmatch(name)
    return int(number[1] + number[2], 16) if number else TAGS.get(name)


def _refusal(setting: SearchableAttribute, problem: str) -> ConfigError:
    return ConfigError(_SETTING, None, f"{setting.attribute!r} {problem}")
