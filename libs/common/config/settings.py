"""The settings: frozen, unknown keys refused, every field with its unit and meaning. docs/settings.md is generated from
them.

Durations are seconds and sizes bytes throughout; a field's name says so where its section does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gantry.common.config.access_sections import AccessSettings
from gantry.common.config.audit_sections import AuditSettings
from gantry.common.config.deidentification_sections import DeidentificationSettings
from gantry.common.config.door_sections import DoorSettings
from gantry.common.config.federation_sections import FederationSettings
from gantry.common.config.hl7_sections import Hl7Settings
from gantry.common.config.lifecycle_sections import (
    CoercionSettings,
    CompletionSettings,
    LifecycleSettings,
    TiersSettings,
)
from gantry.common.config.login_sections import LoginSettings
from gantry.common.config.network_sections import Dimse, Http, Tls
from gantry.common.config.role_sections import Commitment, OrdersSettings, QuerySettings, Retrieve, Upkeep
from gantry.common.config.routing_sections import RoutingSettings
from gantry.common.config.sharing_sections import SharingSettings
from gantry.common.config.store_sections import S3, Encryption, Index, Kafka, OpenSearch, Storage
from gantry.common.config.subscription_sections import SubscriptionSettings
from gantry.common.config.values import Seconds, Section, setting


class WebhookSettings(Section):
    """One URL that events are posted to"""

    name: str = Field(description="Its name, and that of its consumer group", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    url: str = Field(description="Where to post", pattern=r"^https?://[^\s]+$")
    secret_file: Path = Field(description="File with the secret that posts are signed with, 16 bytes or more")
    types: tuple[str, ...] = Field(default=(), description="Types of changes; all where none is given")
    batch: Annotated[int, Field(ge=1, le=1000)] = Field(default=100, description="Events in one post at most")
    timeout: Seconds = Field(default=10.0, description="Seconds for an answer")
    retry_first: Seconds = Field(default=1.0, description="Seconds before the first retry; doubles")
    retry_longest: Seconds = Field(default=300.0, description="Longest seconds between retries")
    give_up: Annotated[float, Field(gt=0, le=30)] = Field(
        default=5.0, description="Days after which an event that was not accepted is skipped"
    )


class Logs(Section):
    """Log lines"""

    format: Literal["json", "console"] = setting("json", "", "For machines or for a person")
    level: Literal["debug", "info", "warning", "error"] = setting("info", "", "The lowest level that is logged")


class Traces(Section):
    """Traces, to an OpenTelemetry collector"""

    endpoint: Annotated[str, Field(pattern=r"^https?://[^/]+(/.*)?$")] | None = setting(
        None, "URL", "Spans go there by OTLP over HTTP (`http://collector:4318`); off where not given"
    )
    headers_file: Path | None = setting(
        None, "file", "Lines of `Name: value` that the collector needs, such as a token"
    )
    ratio: Annotated[float, Field(ge=0, le=1)] = setting(
        1.0,
        "",
        "The share of traces begun here that is exported; a `traceparent` decides for its own trace",
    )


class Settings(Section):
    """Everything that can be set"""

    data: Path = setting(Path("var"), "folder", "Folder of the embedded stores")
    peers_file: Path | None = setting(None, "YAML file", "The AE policy (`peers:`); this very file where not given")
    lab: bool = setting(
        False, "", "Admit unknown AE titles from this machine, with every permission; never in production"
    )
    drain: Seconds = setting(30.0, "s", "At shutdown, work in progress may take this long")
    webhooks: tuple[WebhookSettings, ...] = setting(
        (),
        "list",
        "URLs that [events](changes.md#webhooks) are posted to: "
        "`{name: ris, url: 'https://ris.example/gantry', secret_file: /run/secrets/ris}`",
    )
    dimse: Dimse = setting(Dimse(), "", "")
    http: Http = setting(Http(), "", "")
    access: AccessSettings = setting(AccessSettings(), "", "")
    login: LoginSettings = setting(LoginSettings(), "", "")
    sharing: SharingSettings = setting(SharingSettings(), "", "")
    subscriptions: SubscriptionSettings = setting(SubscriptionSettings(), "", "")
    storage: Storage = setting(Storage(), "", "")
    s3: S3 = setting(S3(), "", "")
    encryption: Encryption = setting(Encryption(), "", "")
    kafka: Kafka = setting(Kafka(), "", "")
    opensearch: OpenSearch = setting(OpenSearch(), "", "")
    index: Index = setting(Index(), "", "")
    query: QuerySettings = setting(QuerySettings(), "", "")
    federation: FederationSettings = setting(FederationSettings(), "", "")
    retrieve: Retrieve = setting(Retrieve(), "", "")
    commitment: Commitment = setting(Commitment(), "", "")
    orders: OrdersSettings = setting(OrdersSettings(), "", "")
    upkeep: Upkeep = setting(Upkeep(), "", "")
    lifecycle: LifecycleSettings = setting(LifecycleSettings(), "", "")
    tiers: TiersSettings = setting(TiersSettings(), "", "")
    coercion: CoercionSettings = setting(CoercionSettings(), "", "")
    completion: CompletionSettings = setting(CompletionSettings(), "", "")
    routing: RoutingSettings = setting(RoutingSettings(), "", "")
    deidentification: DeidentificationSettings = setting(DeidentificationSettings(), "", "")
    hl7: Hl7Settings = setting(Hl7Settings(), "", "")
    audit: AuditSettings = setting(AuditSettings(), "", "")
    door: DoorSettings = setting(DoorSettings(), "", "")
    tls: Tls = setting(Tls(), "", "")
    logs: Logs = setting(Logs(), "", "")
    traces: Traces = setting(Traces(), "", "")

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [webhook.name for webhook in self.webhooks]
        if len(set(names)) < len(names):
            raise ValueError("two webhooks have the same name")
        return self

    @model_validator(mode="after")
    def _counts_what_has_a_quota(self) -> Self:
        if self.storage.quota and not self.upkeep.usage_every:
            raise ValueError("storage.quota needs upkeep.usage_every: without counts the used space is not known")
        return self

    @model_validator(mode="after")
    def _can_tell_subscribers(self) -> Self:
        """A subscription is notified of completion events only, with URLs of this archive."""
        if not self.subscriptions.is_on:
            return self
        if self.http.url is None or self.subscriptions.key_file is None or not self.completion.quiet:
            raise ValueError("subscriptions.endpoints needs http.url, subscriptions.key_file and completion.quiet")
        return self

    @model_validator(mode="after")
    def _reads_what_it_encrypts(self) -> Self:
        """The length of an encrypted object can only be read from the object itself."""
        names = [store.name for store in self.tiers.stores if store.availability == "offline"]
        if names and self.encryption.is_on:
            raise ValueError(
                f"{names[0]} of tiers.stores is restored on request: `encryption` cannot encrypt it; "
                "let the bucket encrypt it and leave out `encryption`, or leave out `availability: offline`"
            )
        return self

    @model_validator(mode="after")
    def _deidentifies_by_profiles_it_has(self) -> Self:
        """A de-identified copy does not allow us to delete the object."""
        known = {profile.name for profile in self.deidentification.profiles}
        for title, name in self.routing.deidentifies.items():
            if name not in known:
                raise ValueError(f"routing.rules: {name!r} of `deidentify` is not in deidentification.profiles")
            for rule in self.lifecycle.retention:
                if title in rule.committed_by:
                    raise ValueError(
                        f"rule {rule.name} of lifecycle.retention waits for {title} in `committed_by`, which gets "
                        "de-identified copies only: these do not replace the objects"
                    )
        return self

    @property
    def objects_url(self) -> str:
        """The object store's URL."""
        return self.storage.objects or f"file://{self.data.absolute()}/objects"

    @property
    def log_url(self) -> str:
        """The event log's URL."""
        return self.storage.log or f"sqlite://{self.data.absolute()}/log.db"

    @property
    def index_url(self) -> str:
        """The search index's URL."""
        return self.storage.index or f"sqlite://{self.data.absolute()}/index.db"
