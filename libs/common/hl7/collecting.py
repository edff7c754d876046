"""Attributes as they are read out of a message one by one, with what is wrong with them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gantry.common.dicom.standard.dictionary import TAGS
from gantry.common.errors import NotUnderstood
from gantry.common.hl7.datatypes import Element, element
from gantry.common.hl7.fields import FoundText
from gantry.common.hl7.problems import ErrorCode, MessageProblem, MessageRefused, Spot
from gantry.common.lifecycle.correctable import require_correctable


class CollectedAttributes:
    """`values` is what a message says, `problems` what it says wrongly."""

    def __init__(self, problems: list[MessageProblem] | None = None) -> None:
        """With the `problems` of another one: those of both are one list."""
        self.values: dict[str, Element] = {}
        self.problems: list[MessageProblem] = [] if problems is None else problems

    def has(self, keyword: str) -> bool:
        """Whether an attribute is there, empty or not."""
        return f"{TAGS[keyword]:08X}" in self.values

    def text(self, keyword: str, field: FoundText) -> None:
        """One value as it is written; nothing where there is none."""
        if field:
            self.put(keyword, field.spot, field.text)

    def put(self, keyword: str, spot: Spot, *values: object) -> None:
        """Values of an attribute; nothing where all are empty."""
        made = element(keyword, *values)
        if "Value" not in made:
            return
        tag = TAGS[keyword]
        try:
            require_correctable({f"{tag:08X}": made}, frozenset((tag,)))
        except NotUnderstood as error:
            self.wrong(spot, str(error))
            return
        self.values[f"{tag:08X}"] = made

    def empty(self, keyword: str) -> None:
        """The attribute is to have no value."""
        self.values[f"{TAGS[keyword]:08X}"] = element(keyword)

    def items(self, keyword: str, items: Sequence[Element], spot: Spot) -> None:
        """A sequence of those items that have something in them."""
        self.put(keyword, spot, *[item for item in items if item])

    def wrong(self, spot: Spot, text: str, code: ErrorCode = ErrorCode.DATA_TYPE) -> None:
        """Note a problem."""
        self.problems.append(MessageProblem(code, text, spot))

    def missing(self, spot: Spot, text: str) -> None:
        """Note that a field is needed."""
        self.wrong(spot, text, ErrorCode.REQUIRED_FIELD_MISSING)

    def require_sound(self) -> None:
        """Raises `MessageRefused` where something is wrong."""
        if self.problems:
            raise MessageRefused(*self.problems)
