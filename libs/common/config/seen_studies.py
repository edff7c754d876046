"""Which studies a peer of the AE policy sees: one entry of `sees`.

sees:
  - institution: [North Hospital]      # a study is seen if it matches one entry,
    modality: [CT, MR]                 # and it matches an entry if it has one value of each key
  - referrer: [Doe^Jane]
"""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_Value = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f\\]+$")]
_Values = Annotated[tuple[_Value, ...], Field(max_length=64)]
MOST_ENTRIES = 16


class SeenStudies(BaseModel):
    """Values of attributes. A study matches if it has one of the values of each key that is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    institution: _Values = Field(default=(), description="Institution Name (0008,0080)")
    department: _Values = Field(
        default=(), description="Institutional Department Name (0008,1040) of any of its series: the whole study"
    )
    modality: _Values = Field(default=(), description="Modality (0008,0060) of any of its series: the whole study")
    referrer: _Values = Field(default=(), description="Referring Physician's Name (0008,0090), as modalities write it")
    referrer_id: _Values = Field(
        default=(), description="A code of Referring Physician Identification Sequence (0008,0096)"
    )
    patient: _Values = Field(default=(), description="Patient ID (0010,0020)")
    patient_issuer: _Values = Field(default=(), description="Issuer of Patient ID (0010,0021)")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not any(getattr(self, name) for name in type(self).model_fields):
            raise ValueError("an entry of `sees` without a value would show everything: leave `sees` out for that")
        return self


def seen_studies_as_markdown() -> str:
    """The keys of an entry, as rows of a table."""
    lines = ["| key of an entry of `sees` | is compared with |", "|---|---|"]
    lines += [f"| `{name}` | {field.description} |" for name, field in SeenStudies.model_fields.items()]
    return "\n".join(lines) + "\n"
