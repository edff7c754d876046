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
        "Secrets of 32 characters or more, one a line, the same for all processes: the first seals the cookie of a "
        "browser that followed a link, each opens it; without it there are no links",
    )
    longest_days: Annotated[float, Field(gt=0, le=366)] = setting(30.0, "days", "Longest validity of a link")
