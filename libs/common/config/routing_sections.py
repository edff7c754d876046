"""The settings of routing: rules for forwarding studies and steps, and for fetching priors."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, TypeAdapter, model_validator

from gantry.common.config.hl7_receiver_sections import Hl7ReceiverSettings
from gantry.common.config.values import AeTitle, Count, Seconds, Section, setting
from gantry.common.config.web_destination_sections import WebDestinationSettings

IssuerSystem = Annotated[str, Field(pattern=r"^[^=\\]{1,64}=[a-z][a-z0-9+.-]*:[^\s|]{1,200}$")]

WINDOW = r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$"


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a known time zone") from None
    return name


_CODE = r"^[^\^\x00-\x1f\x7f\\]{1,16}\^[^\^\x00-\x1f\x7f\\]{1,16}\^[^\^\x00-\x1f\x7f\\]{1,64}$"
"""Code Value, Coding Scheme Designator and Code Meaning (PS3.3 table 8.8-1)."""
_LABEL = r"^[^\x00-\x1f\x7f\\]{0,64}$"
_URL = re.compile(r"https?://[!-\[\]-~]{1,1000}")
_AE_TITLE: TypeAdapter[str] = TypeAdapter(AeTitle)


def _output(value: str) -> str:
    """A URL, or an AE title."""
    if "://" not in value:
        return _AE_TITLE.validate_python(value)
    if _URL.fullmatch(value) is None:
        raise ValueError(f"{value!r} is not the URL of a web server")
    return value


class WorkitemRequestSettings(Section):
    """A workitem for somebody else"""

    code: Annotated[str, Field(pattern=_CODE)] = Field(
        description="`VALUE^SCHEME^MEANING`, of Scheduled Workitem Code Sequence: the work"
    )
    label: Annotated[str, Field(pattern=_LABEL)] = Field(
        default="", description="Procedure Step Label, for people; the name of the rule where not given"
    )
    worklist_label: Annotated[str, Field(pattern=_LABEL)] = Field(
        default="", description="Worklist Label, by which performers search; the name of the rule where not given"
    )
    station: Annotated[str, Field(pattern=_CODE)] | None = Field(
        default=None,
        description="`VALUE^SCHEME^MEANING`, of Scheduled Station Name Code Sequence: the station to perform it",
    )
    output: tuple[Annotated[str, AfterValidator(_output)], ...] = Field(
        default=(),
        description="AE titles, or URLs for STOW-RS, of Output Destination Sequence: where the results are to go",
    )


class RouteRuleSettings(Section):
    """One rule for sending complete studies"""

    name: str = Field(description="What lists and logs call it", pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")
    where: tuple[str, ...] = Field(default=(), description="KEY=VALUE of studies and patients; all must hold")
    sources: tuple[AeTitle, ...] = Field(default=(), description="AE titles, one of which sent something of the study")
    to: tuple[AeTitle, ...] = Field(
        default=(), description="AE titles of `peers` with `move_destination`, or names of `servers`"
    )
    notify: tuple[AeTitle, ...] = Field(
        default=(),
        description="AE titles of `peers` that get Instance Availability Notifications (PS3.4 R), or names of "
        "`receivers`, which get an HL7 message",
    )
    corrections: bool = Field(
        default=False, description="The `receivers` in `notify` also get messages about corrections of a study"
    )
    between: Annotated[str, Field(pattern=WINDOW)] | None = Field(
        default=None, description="`HH:MM-HH:MM`, when objects are sent; may span midnight; at any time without it"
    )
    priority: Literal["high", "medium", "low"] = Field(
        default="medium", description="Order of studies for one destination, and Priority (0000,0700) of what is sent"
    )
    commit: bool = Field(
        default=False,
        description="Request storage commitment from destinations in `to` for what they received (PS3.4 J)",
    )
    deidentify: str | None = Field(
        default=None,
        description="A profile of `deidentification.profiles`, by which objects are de-identified before they are sent",
    )
    workitem: WorkitemRequestSettings | None = Field(
        default=None, description="A workitem (PS3.4 CC) that is created for each study, for somebody else to perform"
    )

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Self:
        if not self.to and not self.notify and self.workitem is None:
            raise ValueError("a rule needs destinations, in `to` or `notify`, or a `workitem`")
        if self.between is not None and not self.to and self.workitem is not None:
            raise ValueError("`between` is about what is sent: the rule names no destinations in `to`")
        if self.deidentify is not None and not self.to:
            raise ValueError("`deidentify` is about what is sent: the rule names no destinations in `to`")
        if self.commit and not self.to:
            raise ValueError("`commit` is about what is sent: the rule names no destinations in `to`")
        return self


class StepRuleSettings(Section):
    """One rule for forwarding procedure steps that modalities perform"""

    name: str = Field(description="What lists and logs call it", pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")
    sources: tuple[AeTitle, ...] = Field(default=(), description="AE titles of modalities; without any, all")
    to: tuple[AeTitle, ...] = Field(
        default=(), description="AE titles of `peers` that N-CREATE and N-SET are forwarded to (PS3.4 F.7)"
    )
    notify: tuple[AeTitle, ...] = Field(
        default=(), description="AE titles of `peers` that get an N-EVENT-REPORT of each change (PS3.4 F.9)"
    )

    @model_validator(mode="after")
    def _goes_somewhere(self) -> Self:
        if not self.to and not self.notify:
            raise ValueError("a rule needs destinations: `to` or `notify`")
        return self


class PrefetchRuleSettings(Section):
    """One rule for fetching priors for an order"""

    name: str = Field(description="What lists and logs call it", pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")
    modalities: tuple[str, ...] = Field(default=(), description="Modalities of a scheduled step; without any, all")
    codes: tuple[str, ...] = Field(
        default=(),
        description="`VALUE` or `VALUE^SCHEME`, one of which is a requested procedure code or a scheduled protocol "
        "code of the order; without any, all",
    )
    ask: tuple[AeTitle, ...] = Field(
        default=(),
        description="AE titles of `peers` with host and port, each of which is asked by C-FIND and C-MOVE, or C-GET",
    )
    workitem: WorkitemRequestSettings | None = Field(
        default=None,
        description="In place of `ask`: a workitem (PS3.4 CC) for each order, for somebody else to fetch the priors",
    )
    by: Literal["move", "get"] = Field(
        default="move",
        description="`get`: fetch by C-GET, from an archive that does not know us as a destination",
    )
    prior_modalities: tuple[str, ...] = Field(
        default=(), description="Studies with one of these are priors; without any, all"
    )
    body_parts: tuple[Annotated[str, Field(pattern=r"^(from order|[A-Za-z0-9 _]{1,16})$")], ...] = Field(
        default=(),
        description="Body Part Examined of a series of a prior, `from order` for that of the order; without any, all",
    )
    within: Annotated[str, Field(pattern=r"^[1-9]\d{0,3}[ymd]$")] | None = Field(
        default=None, description="`5y`, `6m`, `30d`: greatest age of a prior; any age without it"
    )
    most: Annotated[int, Field(ge=1, le=100)] = Field(default=3, description="From one archive, the newest first")
    between: Annotated[str, Field(pattern=WINDOW)] | None = Field(
        default=None, description="`HH:MM-HH:MM`, when priors are fetched, as for `rules`"
    )
    priority: Literal["high", "medium", "low"] = Field(default="low", description="Order of requests to one archive")
    dry_run: bool = Field(default=False, description="Only query, and list what would be fetched")

    @model_validator(mode="after")
    def _asks_or_has_it_done(self) -> Self:
        if bool(self.ask) == (self.workitem is not None):
            raise ValueError("a rule needs the archives that we `ask`, or a `workitem` for somebody else, not both")
        if self.workitem is not None and {"by", "between", "dry_run"} & self.model_fields_set:
            raise ValueError(
                "`by`, `between` and `dry_run` are about archives that we `ask`: the rule has a `workitem`"
            )
        return self


class RoutingSettings(Section):
    """Automatic forwarding of studies (docs/routing.md)"""

    rules: tuple[RouteRuleSettings, ...] = setting(
        (),
        "list",
        "Where complete studies are sent ([routing](routing.md)): "
        "`{name: chest, where: ['ModalitiesInStudy=CR'], sources: [CR1], to: [READING]}`",
    )
    servers: tuple[WebDestinationSettings, ...] = setting(
        (),
        "list",
        "Web servers that rules may name in `to`, for STOW-RS ([web servers](routing.md#web-servers)): "
        "`{name: CLOUD, url: 'https://pacs.example/dicom-web', token_file: /run/secrets/cloud}`",
    )
    receivers: tuple[Hl7ReceiverSettings, ...] = setting(
        (),
        "list",
        "HL7 version 2 receivers that rules may name in `notify` ([HL7 receivers](routing.md#hl7-receivers)): "
        "`{name: RIS, host: 192.0.2.30, port: 2575, charset: 8859/1}`",
    )
    steps: tuple[StepRuleSettings, ...] = setting(
        (),
        "list",
        "Where procedure steps that modalities report are forwarded "
        "([procedure steps](routing.md#procedure-steps)): "
        "`{name: to the ris, sources: [CT1], to: [RIS], notify: [BOARD]}`",
    )
    prefetch: tuple[PrefetchRuleSettings, ...] = setting(
        (),
        "list",
        "Which priors are fetched for orders, and from where ([prefetch](routing.md#prefetch)): "
        "`{name: chest, modalities: [CT], ask: [OLD], prior_modalities: [CT, CR], within: 5y, most: 3}`",
    )
    workitems: bool = setting(
        False,
        "",
        "Peers with `ups`, host and port may subscribe to workitems by DIMSE, and are sent N-EVENT-REPORTs "
        "([workitems](workitems.md#by-dimse))",
    )
    time_zone: Annotated[str, AfterValidator(_time_zone)] | None = setting(
        None, "", "Of `between`, as `Europe/Berlin`; that of the machine where not given"
    )
    finish_moves: tuple[AeTitle, ...] = setting(
        (),
        "list of AE titles",
        "Destinations that get later what a C-MOVE did not deliver ([moves that finish](routing.md#moves-that-finish))",
    )
    silent: Seconds = setting(30.0, "s", "A C-MOVE whose process does not report for so long is taken over")
    retry_first: Seconds = setting(30.0, "s", "Before a destination that is away is tried again; doubles")
    retry_longest: Seconds = setting(3600.0, "s", "The longest wait between tries")
    give_up: Seconds = setting(7 * 24 * 3600.0, "s", "After which an unfinished route has failed")
    refused: Count = setting(5, "tries", "Of instances that a destination refuses")
    commit_wait: Annotated[float, Field(ge=0)] = setting(
        10.0, "s", "How long an association stays open for the report after a storage commitment request"
    )
    commit_within: Seconds = setting(
        3600.0, "s", "Without a report, storage commitment is requested again after this; doubles, up to a day"
    )

    @model_validator(mode="after")
    def _names_are_of_one_rule(self) -> Self:
        names = [*(rule.name for rule in self.rules), *(rule.name for rule in self.prefetch)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two rules of `rules` and `prefetch` are called {name}: lists need different names")
        return self

    @model_validator(mode="after")
    def _servers_get_objects_alone(self) -> Self:
        names = [server.name for server in self.servers]
        if len(set(names)) < len(names):
            raise ValueError("two of `servers` have the same name")
        for name in names:
            for words, titles in self._notified_titles:
                if name in titles:
                    raise ValueError(f"{name} is a web server, and {words}: it can only get objects, by `to` of a rule")
            if any(rule.commit and name in rule.to for rule in self.rules):
                raise ValueError(f"{name} is a web server: STOW-RS has no storage commitment (`commit`)")
        return self

    @model_validator(mode="after")
    def _receivers_are_told_alone(self) -> Self:
        names = [receiver.name for receiver in self.receivers]
        if len(set(names)) < len(names):
            raise ValueError("two of `receivers` have the same name")
        if both := set(names).intersection(server.name for server in self.servers):
            raise ValueError(f"one of `receivers` and one of `servers` are both called {min(both)}")
        for words, titles in [*(("is in `to` of a rule", rule.to) for rule in self.rules), *self._called_titles]:
            if wrong := set(names).intersection(titles):
                raise ValueError(
                    f"{min(wrong)} is an HL7 receiver, and {words}: it can only get messages, by `notify` of a rule"
                )
        for rule in self.rules:
            if rule.corrections and not set(names).intersection(rule.notify):
                raise ValueError(f"rule {rule.name}: `corrections` are for `receivers`, and none is in its `notify`")
        return self

    @model_validator(mode="after")
    def _identifies_to_nobody_it_deidentifies_for(self) -> Self:
        by_title: dict[str, set[str | None]] = {}
        for rule in self.rules:
            for title in rule.to:
                by_title.setdefault(title, set()).add(rule.deidentify)
        for title in self.deidentifies:
            if len(by_title[title]) > 1:
                raise ValueError(
                    f"{title} is in `to` of several rules: they must all name the same profile in `deidentify`, or none"
                )
            for words, titles in self._notified_titles:
                if title in titles:
                    raise ValueError(
                        f"{title} gets de-identified objects, and {words}: that would reveal patients or UIDs"
                    )
        return self

    @property
    def tells_of_patients(self) -> bool:
        """Whether an HL7 receiver gets messages about corrections and merges of patients."""
        return any(receiver.patients for receiver in self.receivers)

    @property
    def deidentifies(self) -> dict[str, str]:
        """The destinations that get de-identified objects, with the names of their profiles."""
        return {title: rule.deidentify for rule in self.rules if rule.deidentify is not None for title in rule.to}

    @property
    def _notified_titles(self) -> list[tuple[str, tuple[str, ...]]]:
        """Destinations that get something that is not de-identified, each group with the words for an error."""
        return [
            *(("is in `notify` of a rule", rule.notify) for rule in self.rules),
            *self._called_titles,
        ]

    @property
    def _called_titles(self) -> list[tuple[str, tuple[str, ...]]]:
        """Peers that we call by DIMSE for something other than complete studies, with the words for an error."""
        return [
            *(("is in a rule of `steps`", (*step.to, *step.notify)) for step in self.steps),
            *(("is in `ask` of `prefetch`", rule.ask) for rule in self.prefetch),
            ("is in `finish_moves`", self.finish_moves),
        ]
