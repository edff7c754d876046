"""Settings of links for people outside (docs/sharing.md)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from gantry.common.config.values import Section, setting


class SharingSettings(Section):
    """Links for a doctor or a patient outside ([sharing](sharing.md)); they need `http.url`"""

    key_file: Path | None = setting(
        None,
        "file",
        "A secret of 32 characters or more a line, the same for all processes: the first seals what a browser keeps "
        "that came by a link, each opens; without it there are no links",
    )
    longest_days: Annotated[float, Field(gt=0, le=366)] = setting(30.0, "days", "A link ends within so long")
