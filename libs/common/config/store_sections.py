"""Settings of the stores: objects, log and index."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from gantry.common.config.values import MIB, Count, Seconds, Section, setting


class InPlace(Section):
    """A bucket or folder of somebody else whose objects are served in place; it is only read"""

    name: str = Field(description="Its permanent name in references", pattern=r"^[a-z][a-z0-9-]{0,31}$")
    url: str = Field(description="`s3://BUCKET`, `s3://BUCKET/PREFIX`, or `file:///…`")
    endpoint: str | None = Field(default=None, description="The server; AWS in `region` where not given")
    region: str = Field(default="us-east-1", description="What requests are signed for")
    addressing: Literal["path", "virtual"] = Field(default="path", description="Bucket in the path or in the host name")
    access_key: str | None = Field(
        default=None, description="Where not given: environment, profile, web identity or instance role"
    )
    secret_key_file: Path | None = Field(default=None, description="Holds the secret key of `access_key`")
    ca: Path | None = Field(
        default=None, description="Who signed the server's certificate, where no public authority did"
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.access_key is None) != (self.secret_key_file is None):
            raise ValueError("access_key and secret_key_file are needed together")
        return self


class Storage(Section):
    """Locations of objects, events and the index"""

    objects: str | None = setting(None, "URL", "Object store; DATA/objects as file:/// where not given")
    log: str | None = setting(None, "URL", "Event log; DATA/log.db as sqlite:/// where not given")
    index: str | None = setting(None, "URL", "Search index; DATA/index.db as sqlite:/// where not given")
    low_water: Annotated[int, Field(ge=0)] = setting(
        256 * MIB, "bytes", "Objects are refused while less is free (A700H)"
    )
    quota: Annotated[int, Field(ge=0)] = setting(
        0,
        "bytes",
        "[Most that the archive may hold](partitions.md#quota); beyond it objects are refused (A700H). 0: no quota",
    )
    deadline: Seconds = setting(30.0, "s", "For store and log together, from the last byte of an object to its answer")
    in_place: tuple[InPlace, ...] = setting(
        (),
        "list",
        "Buckets and folders of others whose objects [stay where they are](moving-in.md#in-place): "
        "`{name: old, url: 's3://old-archive', endpoint: 'https://s3.example.org', access_key: reader, "
        "secret_key_file: /run/secrets/old}`",
    )

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        if len({store.name for store in self.in_place}) < len(self.in_place):
            raise ValueError("two of in_place have the same name")
        return self


class S3(Section):
    """The object store where `storage.objects` is s3://BUCKET or s3://BUCKET/PREFIX"""

    endpoint: str | None = setting(None, "URL", "The server; AWS in `region` where not given")
    region: str = setting("us-east-1", "", "What requests are signed for")
    addressing: Literal["path", "virtual"] = setting("path", "", "Bucket in the path or in the host name")
    access_key: str | None = setting(None, "", "Where not given: environment, profile, web identity or instance role")
    secret_key_file: Path | None = setting(None, "file", "Holds the secret key of `access_key`")
    ca: Path | None = setting(None, "PEM file", "Who signed the server's certificate, where no public authority did")
    encryption: Literal["AES256", "aws:kms"] | None = setting(None, "", "Server-side encryption (SSE-S3, SSE-KMS)")
    kms_key: str | None = setting(None, "", "The key of SSE-KMS, if not the bucket's own")
    create_bucket: bool = setting(False, "", "Create a missing bucket, in `region`; for your own servers")
    connections: Count = setting(64, "connections", "Per process")
    part_size: Annotated[int, Field(ge=5 * MIB, le=512 * MIB)] = setting(
        8 * MIB, "bytes", "Longer objects are uploaded in parts of this size"
    )
    parts_in_flight: Annotated[int, Field(ge=1, le=16)] = setting(2, "parts", "Of one object, uploaded at once")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.access_key is None) != (self.secret_key_file is None):
            raise ValueError("access_key and secret_key_file are needed together")
        return self


class Encryption(Section):
    """Encryption of objects in every object store, if a key is named ([docs](encryption.md))"""

    key_file: Path | None = setting(None, "file", "File with the keys that wrap data keys: `gantry keys new FILE`")
    kms_key: str | None = setting(None, "", "Or the key of AWS KMS, or of a server with its API: id, ARN, `alias/NAME`")
    endpoint: str | None = setting(None, "URL", "That server; AWS in `region` where not given")
    region: str = setting("us-east-1", "", "Of the key service")
    access_key: str | None = setting(None, "", "Where not given: environment, profile, web identity or instance role")
    secret_key_file: Path | None = setting(None, "file", "Holds the secret key of `access_key`")
    ca: Path | None = setting(None, "PEM file", "Who signed the server's certificate, where no public authority did")
    deadline: Seconds = setting(10.0, "s", "For an answer of the key service")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.key_file is not None and self.kms_key is not None:
            raise ValueError("key_file or kms_key, not both")
        if (self.access_key is None) != (self.secret_key_file is None):
            raise ValueError("access_key and secret_key_file are needed together")
        return self

    @property
    def is_on(self) -> bool:
        """Whether objects are encrypted."""
        return self.key_file is not None or self.kms_key is not None


class Kafka(Section):
    """The event log where `storage.log` is kafka://HOST:PORT,HOST:PORT or kafka://HOST:PORT/PREFIX"""

    replication: Count = setting(3, "replicas", "Of topics that we create; as many brokers are needed")
    min_insync: Count = setting(2, "replicas", "Replicas that have an event before it is acknowledged")
    compression: Literal["gzip", "lz4", "snappy", "zstd"] | None = setting(
        None, "", "Compression of batches on the way to the broker"
    )
    max_event: Annotated[int, Field(ge=16384)] = setting(
        900 << 10, "bytes", "Longer events are stored in the object store"
    )
    session_timeout: Seconds = setting(10.0, "s", "After which the partitions of a silent member go to another")
    instance_id: str | None = setting(
        None, "", "Makes this process a static member (KIP-345); its own for each process"
    )
    tls: bool = setting(False, "", "Speak TLS to the brokers")
    ca: Path | None = setting(None, "PEM file", "Who signed the brokers' certificates, where no public authority did")
    sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = setting(None, "", "How we authenticate")
    username: str | None = setting(None, "", "For SASL")
    password_file: Path | None = setting(None, "file", "Holds the password for SASL")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.sasl is not None and (self.username is None or self.password_file is None):
            raise ValueError("sasl needs username and password_file")
        if self.min_insync > self.replication:
            raise ValueError("min_insync cannot be more than replication")
        return self


class OpenSearch(Section):
    """The search index where `storage.index` is opensearch://HOST:PORT,HOST:PORT or opensearch://HOST:PORT/PREFIX"""

    shards: Count = setting(1, "shards", "Of the instances' index, when it is made; the other indices have one")
    replicas: Annotated[int, Field(ge=0)] = setting(1, "replicas", "Of each index, when it is made")
    connections: Count = setting(32, "connections", "Per process and node")
    keep_replaced: Annotated[float, Field(ge=0)] = setting(
        60.0, "s", "How long an index that `gantry reindex` replaced stays, for searches in progress"
    )
    tls: bool = setting(False, "", "Speak TLS to the nodes")
    ca: Path | None = setting(None, "PEM file", "Who signed the nodes' certificates, where no public authority did")
    username: str | None = setting(None, "", "How we authenticate")
    password_file: Path | None = setting(None, "file", "Holds the password of `username`")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.username is None) != (self.password_file is None):
            raise ValueError("username and password_file are needed together")
        return self


class SearchableAttribute(Section):
    """One attribute that can be searched for beside those of every archive"""

    attribute: str = Field(description="A keyword, or gggg,eeee; of a private one gggg,10ee", min_length=1)
    level: Literal["PATIENT", "STUDY", "SERIES", "IMAGE"] = Field(description="Level of the attribute")
    creator: str = setting("", "", "The private creator, of a private attribute")
    vr: str = setting("", "", "Its VR, of a private attribute")


class Index(Section):
    """What can be searched"""

    attributes: tuple[SearchableAttribute, ...] = setting(
        (),
        "list",
        "Attributes that can be searched for and returned beside [those of every archive](conformance.md#32-query): "
        "`{attribute: PregnancyStatus, level: STUDY}`, "
        "`{attribute: '0019,100A', creator: MAKER 1, vr: LO, level: SERIES}`. "
        "After a change, `gantry reindex` makes what is stored already searchable by it",
    )
