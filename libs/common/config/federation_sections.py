"""Settings of federation: queries that include other archives."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from gantry.common.config.values import AeTitle, Section, setting


class FederatedArchiveSettings(Section):
    """One other archive that our queries include"""

    ae_title: AeTitle = Field(description="AE title of one of `peers`, with host and port")
    deadline: Annotated[float, Field(gt=0, le=60)] = Field(
        default=5.0, description="Seconds for its whole answer; after that we answer without the rest of it"
    )


class FederationSettings(Section):
    """Queries that span other archives, and retrieval that fetches from them (docs/federation.md)"""

    archives: Annotated[tuple[FederatedArchiveSettings, ...], Field(max_length=16)] = setting(
        (),
        "list",
        "Other archives that are queried, at most 16: `{ae_title: OLD, deadline: 5}`; none: off",
    )
    most_answers: Annotated[int, Field(ge=1, le=50_000)] = setting(
        2000, "matches", "Used of one archive's answer to one C-FIND"
    )
    at_once: Annotated[int, Field(ge=1, le=1000)] = setting(
        16, "queries", "That include other archives, per process; beyond it we answer alone, with a warning"
    )

    fetch: bool = setting(
        False, "", "Whether a study that only they have is fetched when it is retrieved here; `true` or `false`"
    )
    fetch_deadline: Annotated[float, Field(gt=0, le=24 * 3600)] = setting(
        1800.0, "seconds", "How long an archive may take to send a study that is fetched"
    )
    fetch_wait: Annotated[float, Field(gt=0, le=600)] = setting(
        20.0, "seconds", "How long an HTTP request waits for a study that is fetched; then it is 503 with Retry-After"
    )
    fetch_at_once: Annotated[int, Field(ge=1, le=100)] = setting(
        4, "studies", "Fetched at once, per process; others wait"
    )

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        titles = [archive.ae_title for archive in self.archives]
        if len(set(titles)) < len(titles):
            raise ValueError("an archive is in `archives` twice")
        return self
