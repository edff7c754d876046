"""The settings: frozen, unknown keys refused, every field with its unit and meaning; docs/settings.md is made of them.

Durations are seconds and sizes bytes throughout; a field's name says so where its section does not.
"""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gantry.common.ids import is_ae_title, is_uid

_MIB = 1 << 20


def _ae_title(value: str) -> str:
    if not is_ae_title(value):
        raise ValueError("not an AE title (PS3.5 6.2: 1 to 16 characters, no backslash)")
    return value


def _uid(value: str) -> str:
    if not is_uid(value):
        raise ValueError("not a UID (PS3.5 9.1)")
    return value


def _network(value: Any) -> IPv4Network | IPv6Network:
    try:
        return ip_network(value, strict=False)
    except ValueError:
        raise ValueError(f"{value!r} is not an address or a CIDR range") from None


def _host_and_port(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host.strip("[]") or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{value!r} is not HOST:PORT")
    return value


AeTitle = Annotated[str, AfterValidator(_ae_title)]
Uid = Annotated[str, AfterValidator(_uid)]
Cidr = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
HostAndPort = Annotated[str, AfterValidator(_host_and_port)]
Port = Annotated[int, Field(ge=0, le=65535)]
RejectionCode = Literal["113001", "113037", "113038", "113039", "revoke"]
REJECTION_CODES: frozenset[str] = frozenset(get_args(RejectionCode))
"""Of PS3.16 CID 7011, and what stands for notes that revoke."""
RejectionRule = Annotated[str, Field(pattern=r"^1130(01|37|38|39)=(hide|note|delete|show)$")]
SentAgainRule = Annotated[str, Field(pattern=r"^(1130(01|37|38|39)|deleted)=(accept|ignore|refuse)$")]
OverwriteRule = Annotated[str, Field(pattern=r"^(1130(01|37|38|39)|revoke)>1130(01|37|38|39)$")]
CodeOfToken = Annotated[str, Field(pattern=r"^[^=\s]{1,64}=(1130(01|37|38|39)|revoke)$")]
TitleCode = Annotated[str, Field(pattern=r"^[^\s^=>]{1,16}\^[^\s^]{1,16}$")]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


def _text(value: Any) -> Any:
    """YAML makes a number of 00123, and a truth value of NO: what is not quoted may not be what was written."""
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text: write it in quotes")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    if not values or not all(_text(one) for one in values):
        raise ValueError("an empty value: name the attribute under `nullify` to empty it")
    return tuple(values)


def _title_pattern(value: str) -> str:
    if not 0 < len(value) <= 64 or not value.isprintable() or "\\" in value:
        raise ValueError("not an AE title, a pattern of one, or the name of a token")
    return value


Text = Annotated[str, BeforeValidator(_text)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
TitlePattern = Annotated[str, AfterValidator(_title_pattern)]


def _f(default: Any, unit: str, description: str) -> Any:
    """A field with its unit and meaning."""
    return Field(default=default, description=description, json_schema_extra={"unit": unit})


class Section(BaseModel):
    """What all sections have in common."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Dimse(Section):
    """The DICOM port and its limits"""

    ae_title: AeTitle = _f("GANTRY", "AE title", "Our AE title; associations called otherwise are rejected (1/1/7)")
    host: str = _f("0.0.0.0", "address", "Where to listen")  # noqa: S104 (a server; policy decides who gets in)
    port: Port = _f(11112, "port", "Port of the roles that run together; 0 takes a free one")
    tls_port: Port | None = _f(
        None, "port", "Port for TLS beside a plain one; without it `port` speaks TLS where `tls.certificate` is set"
    )
    unassociated_per_address: Count = _f(
        64, "connections", "Of one address without an association; then the oldest that had a second to ask gives way"
    )
    artim: Seconds = _f(30.0, "s", "ARTIM timer: from connection to A-ASSOCIATE-RQ, and for closing (PS3.8 9.1.5)")
    pdu_deadline: Seconds = _f(60.0, "s", "From a PDU's first byte to its last")
    idle_timeout: Seconds = _f(600.0, "s", "A peer whose turn it is (to ask, to go on, to take) is ended after this")
    max_associations: Count = _f(1500, "associations", "Per process; beyond it rejected for now (2/3/2)")
    max_associations_per_peer: Count = _f(200, "associations", "Per address; a peer's own limit in the policy is lower")
    max_pdu: Annotated[int, Field(ge=4096, le=16 * _MIB)] = _f(131072, "bytes", "Maximum PDU length we announce")
    max_associate_request: Annotated[int, Field(ge=16384)] = _f(262144, "bytes", "Longest A-ASSOCIATE-RQ taken")
    max_contexts: Annotated[int, Field(ge=1, le=128)] = _f(128, "contexts", "Presentation contexts per association")
    max_command_set: Annotated[int, Field(ge=1024)] = _f(65536, "bytes", "Longest DIMSE command set taken")
    max_object: Count = _f(16 << 30, "bytes", "Longest data set taken; beyond it A700H")
    listen_backlog: Count = _f(1024, "connections", "Connections that may wait to be accepted")
    async_window: Annotated[int, Field(ge=1, le=256)] = _f(8, "operations", "Operations a peer may have under way")
    proxy_from: tuple[Cidr, ...] = _f(
        (), "CIDRs", "Whose connections begin with a PROXY protocol v2 header: our front door, a load balancer"
    )
    private_sop_classes: tuple[Uid, ...] = _f((), "UIDs", "Storage SOP classes to take besides those of the standard")


class Http(Section):
    """Health, readiness and metrics for anybody; DICOMweb for this machine, or for who has a token"""

    host: str = _f("0.0.0.0", "address", "Where to listen")  # noqa: S104 (probes come from outside)
    port: Port = _f(8080, "port", "Port; 0 takes a free one")
    url: str | None = _f(None, "URL", "What clients call us by, without /dicom-web; what a request says if not given")
    tokens_file: Path | None = _f(
        None, "file", "NAME:TOKEN a line; DICOMweb answers whoever sends one (Authorization: Bearer), and nobody else"
    )
    may_delete: tuple[str, ...] = _f(
        (),
        "names",
        "Tokens (their NAMEs) that may DELETE; `loopback`: this machine without one; nobody if none",
    )
    may_reject: tuple[CodeOfToken, ...] = _f(
        (),
        "NAME=CODE",
        "Tokens that may store rejection notes with this code (or `revoke`) only; those of `may_delete` that are not "
        "named here may with all",
    )
    may_correct: tuple[str, ...] = _f(
        (), "names", "Tokens (their NAMEs) that may correct studies and patients, and merge patients; as `may_delete`"
    )
    may_hold: tuple[str, ...] = _f(
        (), "names", "Tokens (their NAMEs) that may place and release holds over HTTP; as `may_delete`"
    )
    may_operate: tuple[str, ...] = _f(
        (),
        "names",
        "Tokens (their NAMEs) that see the place Operations of the page, replay dead letters and test peers; as "
        "`may_delete`",
    )
    ohif: Path | None = _f(None, "folder", "OHIF's built `dist` (deploy/ohif.sh): the viewer at /ohif; none without it")
    proxy_from: tuple[Cidr, ...] = _f((), "CIDRs", "Whose X-Forwarded-For is believed: our front door, a reverse proxy")
    cors_origins: tuple[str, ...] = _f((), "origins", "Web pages of these may ask, too; * for any, with tokens only")
    max_connections: Count = _f(1000, "connections", "Per process; beyond it 503, but for a reserve for probes")
    max_connections_per_address: Count = _f(
        256, "connections", "Of one address that is not in `proxy_from`; beyond it 503"
    )
    max_header: Annotated[int, Field(ge=4096, le=_MIB)] = _f(16384, "bytes", "Longest request line, and header field")
    header_deadline: Seconds = _f(30.0, "s", "From a connection, or the answer before, to a whole request header")
    stall: Seconds = _f(
        60.0,
        "s",
        "A body that stands still for so long is given up, in either direction; so is one that came with less than "
        "1 KiB a second, once it was waited for that long",
    )


def rejecting_tokens(http: Http) -> dict[str, frozenset[str]]:
    """By the name of a token, or `loopback`, the codes with which it may store rejection notes."""
    narrowed: dict[str, frozenset[str]] = {}
    for name, _, code in (one.rpartition("=") for one in http.may_reject):
        narrowed[name] = narrowed.get(name, frozenset()) | {code}
    return dict.fromkeys(http.may_delete, REJECTION_CODES) | narrowed


class Storage(Section):
    """Where objects, events and the index are"""

    objects: str | None = _f(None, "URL", "Object store; DATA/objects as file:/// where not given")
    log: str | None = _f(None, "URL", "Event log; DATA/log.db as sqlite:/// where not given")
    index: str | None = _f(None, "URL", "Search index; DATA/index.db as sqlite:/// where not given")
    low_water: Annotated[int, Field(ge=0)] = _f(256 * _MIB, "bytes", "Objects are refused while less is free (A700H)")
    deadline: Seconds = _f(30.0, "s", "For store and log together, from the last byte of an object to its answer")


class S3(Section):
    """The object store where `storage.objects` is s3://BUCKET or s3://BUCKET/PREFIX"""

    endpoint: str | None = _f(None, "URL", "The server; AWS in `region` where not given")
    region: str = _f("us-east-1", "", "What requests are signed for")
    addressing: Literal["path", "virtual"] = _f("path", "", "Bucket in the path or in the host name")
    access_key: str | None = _f(None, "", "Where not given: environment, profile, web identity or instance role")
    secret_key_file: Path | None = _f(None, "file", "Holds the secret key of `access_key`")
    ca: Path | None = _f(None, "PEM file", "Who signed the server's certificate, where no public authority did")
    encryption: Literal["AES256", "aws:kms"] | None = _f(None, "", "Server-side encryption (SSE-S3, SSE-KMS)")
    kms_key: str | None = _f(None, "", "The key of SSE-KMS, where not the bucket's own")
    create_bucket: bool = _f(False, "", "Make the bucket where there is none, in `region`; for servers of one's own")
    connections: Count = _f(64, "connections", "Per process")
    part_size: Annotated[int, Field(ge=5 * _MIB, le=512 * _MIB)] = _f(
        8 * _MIB, "bytes", "Longer objects are uploaded in parts of this size"
    )
    parts_in_flight: Annotated[int, Field(ge=1, le=16)] = _f(2, "parts", "Of one object, uploaded at once")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.access_key is None) != (self.secret_key_file is None):
            raise ValueError("access_key and secret_key_file are needed together")
        return self


class Kafka(Section):
    """The event log where `storage.log` is kafka://HOST:PORT,HOST:PORT or kafka://HOST:PORT/PREFIX"""

    replication: Count = _f(3, "replicas", "Of topics that we make; as many brokers are needed")
    min_insync: Count = _f(2, "replicas", "That have an event before it is acknowledged")
    compression: Literal["gzip", "lz4", "snappy", "zstd"] | None = _f(None, "", "Of batches on their way to the broker")
    max_event: Annotated[int, Field(ge=16384)] = _f(900 << 10, "bytes", "Longer events lie in the object store")
    session_timeout: Seconds = _f(10.0, "s", "After which a silent member's partitions go to another one")
    instance_id: str | None = _f(None, "", "Makes this process a static member (KIP-345); its own for each process")
    tls: bool = _f(False, "", "Speak TLS to the brokers")
    ca: Path | None = _f(None, "PEM file", "Who signed the brokers' certificates, where no public authority did")
    sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = _f(None, "", "How we authenticate")
    username: str | None = _f(None, "", "For SASL")
    password_file: Path | None = _f(None, "file", "Holds the password for SASL")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.sasl is not None and (self.username is None or self.password_file is None):
            raise ValueError("sasl needs username and password_file")
        if self.min_insync > self.replication:
            raise ValueError("min_insync cannot be more than replication")
        return self


class OpenSearch(Section):
    """The search index where `storage.index` is opensearch://HOST:PORT,HOST:PORT or opensearch://HOST:PORT/PREFIX"""

    shards: Count = _f(1, "shards", "Of the instances' index, when it is made; the other indices have one")
    replicas: Annotated[int, Field(ge=0)] = _f(1, "replicas", "Of each index, when it is made")
    connections: Count = _f(32, "connections", "Per process and node")
    keep_replaced: Annotated[float, Field(ge=0)] = _f(
        60.0, "s", "An index that `gantry reindex` replaced stays so long, for searches under way in it"
    )
    tls: bool = _f(False, "", "Speak TLS to the nodes")
    ca: Path | None = _f(None, "PEM file", "Who signed the nodes' certificates, where no public authority did")
    username: str | None = _f(None, "", "How we authenticate")
    password_file: Path | None = _f(None, "file", "Holds the password of `username`")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file are needed together")
        return self


class SearchableAttribute(Section):
    """One attribute that can be searched for beside those of every archive"""

    attribute: str = Field(description="A keyword, or gggg,eeee; of a private one gggg,10ee", min_length=1)
    level: Literal["PATIENT", "STUDY", "SERIES", "IMAGE"] = Field(description="Whose attribute it is")
    creator: str = _f("", "", "The private creator, of a private attribute")
    vr: str = _f("", "", "Its VR, of a private attribute")


class Index(Section):
    """What can be searched"""

    attributes: tuple[SearchableAttribute, ...] = _f(
        (),
        "list",
        "Attributes that can be searched for and returned beside [those of every archive](conformance.md#32-query): "
        "`{attribute: PregnancyStatus, level: STUDY}`, "
        "`{attribute: '0019,100A', creator: MAKER 1, vr: LO, level: SERIES}`. "
        "After a change, `gantry reindex` makes what is stored already searchable by it",
    )


class QuerySettings(Section):
    """The query role."""

    patient_root_needs_patient: bool = _f(
        False, "", "Refuse (A900H) searches of the Patient Root that name no patient, as PS3.4 C.4.1.2.1 has it"
    )


class Retrieve(Section):
    """C-MOVE and C-GET, and WADO"""

    metadata_memory: Annotated[int, Field(ge=_MIB)] = _f(64 * _MIB, "bytes", "Metadata of instances kept, per process")
    thumbnails: Path | None = _f(
        None, "folder", "Where thumbnails are kept; by default beside embedded objects, else a temporary one"
    )
    thumbnail_space: Annotated[int, Field(ge=0)] = _f(
        256 * _MIB, "bytes", "Thumbnails kept there by a process; 0: none"
    )
    suboperation_retries: Annotated[int, Field(ge=0)] = _f(2, "retries", "Of a sub-operation that failed")
    retry_delay: Seconds = _f(2.0, "s", "Before the first retry; doubles")
    connect_timeout: Seconds = _f(10.0, "s", "TCP connection to a destination")
    associate_timeout: Seconds = _f(30.0, "s", "A destination's answer to A-ASSOCIATE-RQ")
    response_timeout: Seconds = _f(120.0, "s", "A destination's answer to a C-STORE sub-operation")
    window: Annotated[int, Field(ge=1, le=64)] = _f(
        4, "operations", "Sub-operations a destination is asked to take at once (PS3.7 D.3.3.3); 1: it is not asked"
    )
    read_ahead: Annotated[int, Field(ge=0)] = _f(
        32 * _MIB, "bytes", "Objects held for one association before their turn; 0: none"
    )
    read_ahead_total: Annotated[int, Field(ge=0)] = _f(128 * _MIB, "bytes", "The same for all of a process")
    parallel_destinations: Count = _f(32, "associations", "C-MOVE associations a process may have open at once")
    parallel_per_destination: Count = _f(4, "associations", "of them to one destination")


class Commitment(Section):
    """Storage commitment"""

    max_references: Count = _f(250_000, "instances", "Per request; beyond it 0213H")
    in_flight_deadline: Seconds = _f(120.0, "s", "How long to wait for instances that are not in the index yet")
    read_retries: Annotated[int, Field(ge=0)] = _f(5, "retries", "Where the object store is away; then 0110H")
    parallel_checks: Count = _f(4, "objects", "Objects read back and digested at once")
    report_timeout: Seconds = _f(60.0, "s", "A peer's answer to N-EVENT-REPORT")
    same_association_wait: Annotated[float, Field(ge=0)] = _f(
        600.0, "s", "How long a report may use the requesting association while the peer keeps it open"
    )
    retry_first: Seconds = _f(10.0, "s", "Before the first retry of a report; doubles")
    retry_longest: Seconds = _f(3600.0, "s", "Longest wait between retries of a report")
    give_up: Annotated[float, Field(gt=0)] = _f(7.0, "days", "After which a report is given up")


class Upkeep(Section):
    """What keeps the bucket enough: sealed facts and the sweeper; runs with the indexer role"""

    archive: bool = _f(True, "", "Seal the log's facts into segments in the object store")
    seal_every: Seconds = _f(10.0, "s", "A fact is sealed that late at most, where few come")
    sweep_every: Annotated[float, Field(ge=0)] = _f(
        3600.0, "s", "Between sweeps for objects without an event; 0: never"
    )
    sweep_window: Seconds = _f(48 * 3600.0, "s", "Objects of so long ago are swept; `gantry sweep --all` for all")
    sweep_grace: Seconds = _f(900.0, "s", "Objects younger than this may be on their way")
    unfinished_after: Seconds = _f(24 * 3600.0, "s", "Uploads begun before that and not ended are removed")
    verify_every: Annotated[float, Field(ge=0)] = _f(
        7 * 24 * 3600.0, "s", "From the end of a verification of all objects to the next one; 0: never"
    )
    verify_rate: Annotated[float, Field(ge=0)] = _f(
        20.0 * _MIB, "bytes/s", "Verification reads so fast at most; 0: as fast as it goes"
    )
    reconcile_every: Annotated[float, Field(ge=0)] = _f(
        24 * 3600.0, "s", "From the end of a comparison of all sealed facts with the index to the next one; 0: never"
    )
    reconcile_rate: Annotated[float, Field(ge=0)] = _f(
        5000.0, "facts/s", "They are compared so fast at most; 0: as fast as it goes"
    )
    report_every: Annotated[float, Field(ge=0)] = _f(
        15.0, "s", "Between two reports of each process, of any role, on how it is (docs/operations.md); 0: none"
    )


class RetentionSettings(Section):
    """One rule of how long studies are kept"""

    name: str = Field(description="What lists, logs and reasons call it", pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")
    where: tuple[str, ...] = Field(default=(), description="KEY=VALUE of studies and patients; all must hold")
    sources: tuple[AeTitle, ...] = Field(default=(), description="AE titles, one of which sent something of the study")
    keep: str = Field(description="`10y`, `6m`, `30d`, or `forever`", pattern=r"^([1-9]\d{0,3}[ymd]|forever)$")
    since: Literal["study", "receipt", "access"] = Field(default="study", description="What `keep` is counted from")
    younger_than: Annotated[int, Field(ge=1, le=150)] | None = Field(
        default=None, description="Patients younger than so many years, counted from when they are not"
    )
    then: Literal["keep", "delete"] = Field(default="keep", description="What `expire_every` does when it is over")


class LifecycleSettings(Section):
    """What becomes of what was deleted (docs/lifecycle.md)"""

    grace: Seconds = _f(30 * 24 * 3600.0, "s", "A deletion can be undone for so long; then its objects are collected")
    collect_every: Annotated[float, Field(ge=0)] = _f(
        3600.0, "s", "Between two looks for objects to collect, by the indexer role; 0: never"
    )
    erase_after: Annotated[float, Field(ge=0)] = _f(
        3600.0, "s", "Nothing of a study or patient is left for so long; then the values of its corrections are removed"
    )
    retention: tuple[RetentionSettings, ...] = _f(
        (),
        "list",
        "How long studies are kept ([retention](lifecycle.md#retention)): nobody deletes what a rule keeps, and the "
        "longest rule wins. `{name: minors, keep: 10y, younger_than: 18}`, "
        "`{name: mammography, where: ['ModalitiesInStudy=MG'], keep: 15y, then: delete}`",
    )
    expire_every: Annotated[float, Field(ge=0)] = _f(
        0.0,
        "s",
        "Between two looks, by the indexer role, for studies to delete after rules with `then: delete`; 0: never",
    )
    expire_rate: Annotated[float, Field(gt=0)] = _f(50.0, "objects/s", "That are deleted by rules, at most")
    rejections: tuple[RejectionRule, ...] = _f(
        ("113001=hide", "113037=hide", "113038=hide", "113039=delete"),
        "CODE=ACTION",
        "What a rejection note with this code does: `hide`, `note` (hides all but the note), `delete` (hides, and is "
        "collected after `grace`), `show` (hides nothing); others are refused (A775H)",
    )
    sent_again: tuple[SentAgainRule, ...] = _f(
        (),
        "CODE=RULE",
        "What an instance means that is sent again after a rejection with this code, or (`deleted`) after a deletion: "
        "`accept` (the default: it is there), `ignore` (acknowledged, and stays hidden), `refuse` (A771H)",
    )
    overwrites: tuple[OverwriteRule, ...] = _f(
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
    revoking: tuple[TitleCode, ...] = _f(
        (), "VALUE^SCHEME", "Document titles of Key Object Selections that revoke rejections, as your workstations send"
    )
    note_first: Annotated[float, Field(ge=0)] = _f(
        0.0, "s", "A rejection note may come so long before what it names; 0: it is refused then (A772H)"
    )


class TierStoreSettings(Section):
    """One object store beside the one that takes what arrives"""

    name: str = Field(description="What rules, events and metrics call it", pattern=r"^[a-z][a-z0-9-]{0,31}$")
    url: str = Field(description="`file:///…` or `s3://BUCKET/PREFIX`, with what `s3` says")
    availability: Literal["online", "nearline", "offline"] = Field(
        default="nearline", description="Instance Availability (0008,0056) of what lies in it"
    )


class TierRuleSettings(Section):
    """One rule of which object store studies lie in"""

    name: str = Field(description="What lists and logs call it", pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")
    where: tuple[str, ...] = Field(default=(), description="KEY=VALUE of studies and patients; all must hold")
    sources: tuple[AeTitle, ...] = Field(default=(), description="AE titles, one of which sent something of the study")
    after: str = Field(description="`1y`, `6m`, `30d`, or `never`", pattern=r"^([1-9]\d{0,3}[ymd]|never)$")
    since: Literal["study", "receipt", "access"] = Field(default="study", description="What `after` is counted from")
    to: str = Field(description="The name of one of `stores`")


class TiersSettings(Section):
    """More than one object store (docs/tiers.md)"""

    stores: tuple[TierStoreSettings, ...] = _f(
        (),
        "list",
        "Object stores beside `storage.objects`, from the nearest to the farthest: "
        "`{name: cold, url: 's3://archive-cold', availability: nearline}`",
    )
    rules: tuple[TierRuleSettings, ...] = _f(
        (),
        "list",
        "When studies move, and where ([rules](tiers.md#rules)): `{name: old, after: 2y, to: cold}`, "
        "`{name: unread, where: ['ModalitiesInStudy=CT'], after: 6m, since: access, to: cold}`",
    )
    every: Annotated[float, Field(ge=0)] = _f(
        24 * 3600.0, "s", "Between two looks, by the indexer role, for studies to move; 0: never"
    )
    rate: Annotated[float, Field(ge=0)] = _f(
        50.0 * _MIB, "bytes/s", "That are moved by rules, at most; 0: as fast as it goes"
    )
    grace: Annotated[float, Field(ge=0)] = _f(
        24 * 3600.0, "s", "The copy that an object leaves stays so long after the move is known"
    )
    restore_days: Annotated[int, Field(ge=1, le=365)] = _f(
        3, "days", "What somebody wants of an S3 archive is asked for, and stays readable so long"
    )
    restore_tier: Literal["Standard", "Bulk", "Expedited"] = _f("Standard", "", "How fast it comes, in S3's words")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = [store.name for store in self.stores]
        if len(set(names)) < len(names) or "hot" in names:
            raise ValueError("two stores have one name (`hot` is that of `storage.objects`)")
        if len({rule.name for rule in self.rules}) < len(self.rules):
            raise ValueError("two rules have one name")
        for rule in self.rules:
            if rule.to not in names:
                raise ValueError(f"rule {rule.name}: no store is called {rule.to!r}")
        return self


class MapSettings(Section):
    """A table of values of one coercion rule"""

    values: dict[str, Text] = Field(description="What each value becomes", min_length=1)
    default: Text | None = Field(default=None, description="What a value becomes that is not in the table; it stays")
    source: str | None = Field(default=None, alias="from", description="The attribute looked up; the one that changes")


class CoercionRuleSettings(Section):
    """One rule of what is changed in objects on the way in"""

    name: str = Field(
        description="What logs, metrics and reports call it", pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$"
    )
    calling: tuple[TitlePattern, ...] = Field(default=(), description="AE titles of senders (* and ?), or token names")
    called: tuple[TitlePattern, ...] = Field(default=(), description="Our AE titles that are called; none over HTTP")
    where: tuple[str, ...] = Field(default=(), description="KEY=VALUE of the object; all must hold")
    to_set: dict[str, Texts] = Field(default={}, alias="set", description="Attributes and their values")
    to_map: dict[str, MapSettings] = Field(default={}, alias="map", description="Attributes and tables of values")
    to_copy: dict[str, str] = Field(default={}, alias="copy", description="Attributes, each from another one")
    nullify: tuple[str, ...] = Field(default=(), description="Attributes to be emptied")
    issuer: str = Field(default="", max_length=64, description="Issuer of Patient ID, where there is an ID without one")


class CoercionSettings(Section):
    """What is changed in objects on the way in, and how their senders are answered (docs/coercion.md)"""

    rules: tuple[CoercionRuleSettings, ...] = _f(
        (),
        "list",
        "Applied in their order ([coercion](coercion.md)): "
        "`{name: issuer of north, calling: ['NORTH*'], issuer: NORTH}`, "
        "`{name: body parts, where: ['Modality=CR'], map: {BodyPartExamined: {values: {THORAX: CHEST}}}}`",
    )
    answer: Literal["success", "warning"] = _f(
        "success",
        "",
        "How the sender of a coerced object is answered: 0000H and 200; or warning B000H (PS3.4 B.2.3), over HTTP 202 "
        "with Warning Reason B000H (PS3.18 10.5.3), which some senders take for a failure",
    )


class WebhookSettings(Section):
    """One address that is told what happens"""

    name: str = Field(description="Names its consumer group", pattern=r"^[a-z0-9][a-z0-9-]{0,31}$")
    url: str = Field(description="Where to post", pattern=r"^https?://[^\s]+$")
    secret_file: Path = Field(description="Holds the secret that posts are signed with, 16 bytes or more")
    types: tuple[str, ...] = Field(default=(), description="Types of changes; all where there are none")
    batch: Annotated[int, Field(ge=1, le=1000)] = Field(default=100, description="Events in one post at most")
    timeout: Seconds = Field(default=10.0, description="Seconds for an answer")
    retry_first: Seconds = Field(default=1.0, description="Seconds before the first retry; doubles")
    retry_longest: Seconds = Field(default=300.0, description="Longest seconds between retries")
    give_up: Annotated[float, Field(gt=0, le=30)] = Field(
        default=5.0, description="Days after which what was not accepted is passed over"
    )


class DoorSettings(Section):
    """The front door (`--role door`): who serves what. A name stands for all its addresses, looked up time and again"""

    ingest: tuple[HostAndPort, ...] = _f((), "HOST:PORT", "Who takes associations that store")
    query: tuple[HostAndPort, ...] = _f((), "HOST:PORT", "Who takes those that search")
    retrieve: tuple[HostAndPort, ...] = _f((), "HOST:PORT", "Who takes those that fetch, with C-MOVE or C-GET")
    commitment: tuple[HostAndPort, ...] = _f((), "HOST:PORT", "Who takes those that ask for storage commitment")
    mixed: tuple[HostAndPort, ...] = _f(
        (), "HOST:PORT", "Who plays all these roles: takes associations that mix them, and any whose own pool is away"
    )
    http_ingest: tuple[HostAndPort, ...] = _f((), "HOST:PORT", "Who takes DICOMweb requests that store")
    http_query: tuple[HostAndPort, ...] = _f((), "HOST:PORT", "Who takes those that search")
    http_retrieve: tuple[HostAndPort, ...] = _f((), "HOST:PORT", "Who takes those that fetch")
    http_commitment: tuple[HostAndPort, ...] = _f((), "HOST:PORT", "Who takes those that ask for storage commitment")
    connect_timeout: Seconds = _f(2.0, "s", "TCP connection to a backend; then the next one is tried")
    connect_deadline: Seconds = _f(10.0, "s", "For all tries together; then rejected for now (2/3/1)")
    leave_alone: Seconds = _f(5.0, "s", "A backend that could not be reached gets nothing for so long if others can")
    look_every: Seconds = _f(5.0, "s", "Between two looks: names are resolved, each backend is connected to")

    @property
    def pools(self) -> dict[str, tuple[str, ...]]:
        """The backends by pool, of the pools that have some."""
        named = {name: getattr(self, name) for name in ("ingest", "query", "retrieve", "commitment", "mixed")}
        return {name: backends for name, backends in named.items() if backends}

    @property
    def web_pools(self) -> dict[str, tuple[str, ...]]:
        """The same for DICOMweb."""
        named = {name: getattr(self, f"http_{name}") for name in ("ingest", "query", "retrieve", "commitment")}
        return {name: backends for name, backends in named.items() if backends}


class Tls(Section):
    """TLS on the DICOM port (PS3.15 B.9 BCP 195)"""

    certificate: Path | None = _f(None, "PEM file", "Our certificate chain; TLS is off without it")
    key: Path | None = _f(None, "PEM file", "Its private key")
    ca: Path | None = _f(None, "PEM file", "Who signs our peers' certificates")
    require_client_certificate: bool = _f(True, "", "Reject peers without a certificate signed by `ca`")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a certificate and its key are needed together")
        if self.certificate is not None and self.require_client_certificate and self.ca is None:
            raise ValueError("require_client_certificate needs `ca`")
        return self


class Logs(Section):
    """Log lines"""

    format: Literal["json", "console"] = _f("json", "", "For machines or for a person")
    level: Literal["debug", "info", "warning", "error"] = _f("info", "", "The least that is told")


class Traces(Section):
    """Traces, to an OpenTelemetry collector"""

    endpoint: Annotated[str, Field(pattern=r"^https?://[^/]+(/.*)?$")] | None = _f(
        None, "URL", "Spans go there by OTLP over HTTP (`http://collector:4318`); off where not given"
    )
    headers_file: Path | None = _f(None, "file", "Lines of `Name: value` that the collector wants, as a token")
    ratio: Annotated[float, Field(ge=0, le=1)] = _f(
        1.0,
        "",
        "The part of the traces begun here that is told; one that comes with a `traceparent` decides itself",
    )


class Settings(Section):
    """Everything that can be set"""

    data: Path = _f(Path("var"), "folder", "Where the embedded stores live")
    peers_file: Path | None = _f(None, "YAML file", "The AE policy (`peers:`); this very file where not given")
    lab: bool = _f(False, "", "Admit unknown AE titles from this machine, with every permission; never in production")
    drain: Seconds = _f(30.0, "s", "What is under way may take this long at shutdown")
    webhooks: tuple[WebhookSettings, ...] = _f(
        (),
        "list",
        "Addresses that are told [what happens](changes.md#webhooks): "
        "`{name: ris, url: 'https://ris.example/gantry', secret_file: /run/secrets/ris}`",
    )
    dimse: Dimse = _f(Dimse(), "", "")
    http: Http = _f(Http(), "", "")
    storage: Storage = _f(Storage(), "", "")
    s3: S3 = _f(S3(), "", "")
    kafka: Kafka = _f(Kafka(), "", "")
    opensearch: OpenSearch = _f(OpenSearch(), "", "")
    index: Index = _f(Index(), "", "")
    query: QuerySettings = _f(QuerySettings(), "", "")
    retrieve: Retrieve = _f(Retrieve(), "", "")
    commitment: Commitment = _f(Commitment(), "", "")
    upkeep: Upkeep = _f(Upkeep(), "", "")
    lifecycle: LifecycleSettings = _f(LifecycleSettings(), "", "")
    tiers: TiersSettings = _f(TiersSettings(), "", "")
    coercion: CoercionSettings = _f(CoercionSettings(), "", "")
    door: DoorSettings = _f(DoorSettings(), "", "")
    tls: Tls = _f(Tls(), "", "")
    logs: Logs = _f(Logs(), "", "")
    traces: Traces = _f(Traces(), "", "")

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [webhook.name for webhook in self.webhooks]
        if len(set(names)) < len(names):
            raise ValueError("two webhooks have one name")
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
