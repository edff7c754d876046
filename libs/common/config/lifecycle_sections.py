"""Settings of a study's lifecycle: deletion, rejection, retention, tiers, coercion."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gantry.common.config.values import (
    MIB,
    AeTitle,
    OverwriteRule,
    RejectedView,
    RejectionRule,
    Seconds,
    Section,
    SentAgainRule,
    Text,
    Texts,
    TitleCode,
    TitlePattern,
    setting,
)


class RetentionSettings(Section):
    """One rule of how long studies are kept"""

    name: str = Field(description="Its name in lists, logs and reasons", pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")
    where: tuple[str, ...] = Field(default=(), description="KEY=VALUE of studies and patients; all must hold")
    sources: tuple[AeTitle, ...] = Field(default=(), description="AE titles, one of which sent something of the study")
    keep: str = Field(description="`10y`, `6m`, `30d`, or `forever`", pattern=r"^([1-9]\d{0,3}[ymd]|forever)$")
    since: Literal["study", "receipt", "access"] = Field(default="study", description="Where `keep` begins")
    younger_than: Annotated[int, Field(ge=1, le=150)] | None = Field(
        default=None,
        description="Only for patients younger than so many years; `keep` then begins when they reach that age",
    )
    then: Literal["keep", "delete"] = Field(default="keep", description="What `expire_every` does at the end of `keep`")
    committed_by: tuple[AeTitle, ...] = Field(
        default=(),
        description="AE titles of archives; a study is deleted only after each of them has committed all of it",
    )


class LifecycleSettings(Section):
    """Deletion, rejection and retention (docs/lifecycle.md)"""

    grace: Seconds = setting(
        30 * 24 * 3600.0, "s", "A deletion can be undone for so long; then its objects are collected"
    )
    collect_every: Annotated[float, Field(ge=0)] = setting(
        3600.0, "s", "Between two searches for objects to collect, by the indexer role; 0: never"
    )
    erase_after: Annotated[float, Field(ge=0)] = setting(
        3600.0,
        "s",
        "How long after the last of a study or patient was collected the values of its corrections are removed",
    )
    await_images: Annotated[float, Field(ge=0)] = setting(
        90.0,
        "days",
        "How long the correction or merge of a patient without a study waits for images with the old name or Patient "
        "ID; then its values are removed",
    )
    retention: tuple[RetentionSettings, ...] = setting(
        (),
        "list",
        "How long studies are kept ([retention](lifecycle.md#retention)): nobody can delete a study that a rule keeps; "
        "the longest rule applies. `{name: minors, keep: 10y, younger_than: 18}`, "
        "`{name: mammography, where: ['ModalitiesInStudy=MG'], keep: 15y, then: delete}`",
    )
    expire_every: Annotated[float, Field(ge=0)] = setting(
        0.0,
        "s",
        "Between two searches, by the indexer role, for studies to delete by rules with `then: delete`; 0: never",
    )
    expire_rate: Annotated[float, Field(gt=0)] = setting(50.0, "objects/s", "That are deleted by rules, at most")
    rejections: tuple[RejectionRule, ...] = setting(
        ("113001=hide", "113037=hide", "113038=hide", "113039=delete"),
        "CODE=ACTION",
        "What a rejection note with this code does: `hide`, `note` (hides all but the note), `delete` (hides, and is "
        "collected after `grace`), `show` (hides nothing); others are refused (A775H)",
    )
    sent_again: tuple[SentAgainRule, ...] = setting(
        (),
        "CODE=RULE",
        "What happens to an instance that is sent again after a rejection with this code, or (`deleted`) after a "
        "deletion: `accept` (the default: it is visible), `ignore` (acknowledged, and stays hidden), `refuse` (A771H)",
    )
    views: tuple[RejectedView, ...] = setting(
        (),
        "VIEW=CODES",
        "Views that show instances rejected with certain codes: `qa=113001,113037`. Peers (`view`) and roles "
        "(`access.views`) have one; run `gantry reindex` after a change "
        "([views](lifecycle.md#who-sees-what-is-rejected))",
    )
    overwrites: tuple[OverwriteRule, ...] = setting(
        (
            "113037>113001",
            "113037>113038",
            "113038>113001",
            "113039>113001",
            "113039>113037",
            "113039>113038",
            "revoke>113001",
            "revoke>113037",
            "revoke>113038",
            "revoke>113039",
        ),
        "CODE>CODE",
        "Which code may be rejected again with which (`113037>113001`: safety after quality), and which may be revoked "
        "by a note (`revoke>113001`); others are refused (A774H)",
    )
    revoking: tuple[TitleCode, ...] = setting(
        (), "VALUE^SCHEME", "Document titles of Key Object Selections that revoke rejections, as your workstations send"
    )
    note_first: Annotated[float, Field(ge=0)] = setting(
        0.0,
        "s",
        "How long a rejection note may arrive before the instances that it names; 0: it is refused then (A772H)",
    )


class TierStoreSettings(Section):
    """One object store beside the one that new objects go to"""

    name: str = Field(description="Its name in rules, events and metrics", pattern=r"^[a-z][a-z0-9-]{0,31}$")
    url: str = Field(description="`file:///…` or `s3://BUCKET/PREFIX`, with the settings of `s3`")
    availability: Literal["online", "nearline", "offline"] = Field(
        default="nearline", description="Instance Availability (0008,0056) of its objects"
    )
    compress: bool = Field(default=False, description="Whether its objects are compressed, without loss")

    @model_validator(mode="after")
    def _is_read_at_once(self) -> Self:
        """The length of a compressed object can only be read from the object itself."""
        if self.compress and self.availability == "offline":
            raise ValueError(
                "a store that compresses cannot be an archive that is restored on request: leave out one of the two"
            )
        return self


class TierRuleSettings(Section):
    """One rule for moving studies to another object store"""

    name: str = Field(description="Its name in lists and logs", pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")
    where: tuple[str, ...] = Field(default=(), description="KEY=VALUE of studies and patients; all must hold")
    sources: tuple[AeTitle, ...] = Field(default=(), description="AE titles, one of which sent something of the study")
    after: str = Field(description="`1y`, `6m`, `30d`, or `never`", pattern=r"^([1-9]\d{0,3}[ymd]|never)$")
    since: Literal["study", "receipt", "access"] = Field(default="study", description="Where `after` begins")
    to: str = Field(description="The name of one of `stores`")


class TiersSettings(Section):
    """More than one object store (docs/tiers.md)"""

    stores: tuple[TierStoreSettings, ...] = setting(
        (),
        "list",
        "Object stores beside `storage.objects`, from the nearest to the farthest: "
        "`{name: cold, url: 's3://archive-cold', availability: nearline}`",
    )
    rules: tuple[TierRuleSettings, ...] = setting(
        (),
        "list",
        "When studies move, and where ([rules](tiers.md#rules)): `{name: old, after: 2y, to: cold}`, "
        "`{name: unread, where: ['ModalitiesInStudy=CT'], after: 6m, since: access, to: cold}`",
    )
    every: Annotated[float, Field(ge=0)] = setting(
        24 * 3600.0, "s", "Between two searches, by the indexer role, for studies to move; 0: never"
    )
    rate: Annotated[float, Field(ge=0)] = setting(50.0 * MIB, "bytes/s", "Moved by rules, at most; 0: no limit")
    grace: Annotated[float, Field(ge=0)] = setting(
        24 * 3600.0, "s", "How long the old copy of an object stays after the move is known"
    )
    restore_days: Annotated[int, Field(ge=1, le=365)] = setting(
        3, "days", "How long an object that was requested from an S3 archive stays readable"
    )
    restore_tier: Literal["Standard", "Bulk", "Expedited"] = setting("Standard", "", "Retrieval tier, in S3's words")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = [store.name for store in self.stores]
        if len(set(names)) < len(names) or "hot" in names:
            raise ValueError("two stores have the same name (`hot` is the name of `storage.objects`)")
        if len({rule.name for rule in self.rules}) < len(self.rules):
            raise ValueError("two rules have the same name")
        for rule in self.rules:
            if rule.to not in names:
                raise ValueError(f"rule {rule.name}: no store is called {rule.to!r}")
        return self


class MapSettings(Section):
    """A table of values of one coercion rule"""

    values: dict[str, Text] = Field(description="What each value becomes", min_length=1)
    default: Text | None = Field(
        default=None, description="What a value becomes that is not in the table; unchanged if not given"
    )
    source: str | None = Field(
        default=None, alias="from", description="The attribute that is looked up; if not given, the one that changes"
    )


class OrderSourceSettings(Section):
    """What one coercion rule takes from the order of an object"""

    by: tuple[Literal["StudyInstanceUID", "AccessionNumber", "ScheduledProcedureStepID", "PatientID"], ...] = Field(
        description="Attributes by which the order is found: tried in turn, until one finds exactly one order",
        min_length=1,
    )
    copied: tuple[str, ...] = Field(alias="copy", description="Attributes that are taken from it", min_length=1)


class CoercionRuleSettings(Section):
    """One rule that changes objects as they arrive"""

    name: str = Field(
        description="Its name in logs, metrics and reports", pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$"
    )
    calling: tuple[TitlePattern, ...] = Field(default=(), description="AE titles of senders (* and ?), or token names")
    called: tuple[TitlePattern, ...] = Field(
        default=(), description="Called AE titles of ours; over HTTP there is none"
    )
    where: tuple[str, ...] = Field(default=(), description="KEY=VALUE of the object; all must hold")
    to_set: dict[str, Texts] = Field(default={}, alias="set", description="Attributes and their values")
    to_map: dict[str, MapSettings] = Field(default={}, alias="map", description="Attributes and tables of values")
    to_copy: dict[str, str] = Field(default={}, alias="copy", description="Attributes, each copied from another one")
    nullify: tuple[str, ...] = Field(default=(), description="Attributes to be emptied")
    issuer: str = Field(
        default="", max_length=64, description="Issuer of Patient ID, for a Patient ID without an issuer"
    )
    order: OrderSourceSettings | None = Field(
        default=None, description="Attributes that are copied from the object's order"
    )


class CompletionSettings(Section):
    """When a study counts as complete (docs/changes.md)"""

    quiet: Annotated[float, Field(ge=0)] = setting(
        60.0, "s", "A study is complete when no object of it arrived for so long; 0: completion is off"
    )
    longest: Seconds = setting(4 * 3600.0, "s", "A study counts as complete after so long, even if more objects arrive")


class CoercionSettings(Section):
    """What is changed in objects as they arrive, and how their senders are answered (docs/coercion.md)"""

    rules: tuple[CoercionRuleSettings, ...] = setting(
        (),
        "list",
        "Applied in their order ([coercion](coercion.md)): "
        "`{name: issuer of north, calling: ['NORTH*'], issuer: NORTH}`, "
        "`{name: body parts, where: ['Modality=CR'], map: {BodyPartExamined: {values: {THORAX: CHEST}}}}`",
    )
    orders_within: Annotated[float, Field(ge=0)] = setting(
        10.0,
        "s",
        "After a start, how long objects wait until the orders are read that a rule takes values from; then they are "
        "stored as they are (half of `storage.deadline` at most)",
    )
    answer: Literal["success", "warning"] = setting(
        "success",
        "",
        "How the sender of a coerced object is answered: 0000H and 200; or warning B000H (PS3.4 B.2.3), over HTTP 202 "
        "with Warning Reason B000H (PS3.18 10.5.3), which some senders take for a failure",
    )
