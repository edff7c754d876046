"""Settings of the network: DIMSE, HTTP, TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from gantry.common.config.values import (
    MIB,
    REJECTION_CODES,
    AeTitle,
    Cidr,
    CodeOfToken,
    Count,
    Port,
    RateOfToken,
    Seconds,
    Section,
    Uid,
    setting,
)


class Dimse(Section):
    """The DICOM port and its limits"""

    ae_title: AeTitle = setting(
        "GANTRY", "AE title", "Our AE title; associations called otherwise are rejected (1/1/7)"
    )
    host: str = setting("0.0.0.0", "address", "Where to listen")  # noqa: S104 (a server; policy decides who gets in)
    port: Port = setting(11112, "port", "Port of the roles that run together; 0 takes a free one")
    tls_port: Port | None = setting(
        None, "port", "Port for TLS beside a plain one; without it `port` speaks TLS where `tls.certificate` is set"
    )
    unassociated_per_address: Count = setting(
        64,
        "connections",
        "Of one address without an association; then the oldest that is at least a second old is closed",
    )
    artim: Seconds = setting(30.0, "s", "ARTIM timer: from connection to A-ASSOCIATE-RQ, and for closing (PS3.8 9.1.5)")
    pdu_deadline: Seconds = setting(60.0, "s", "From a PDU's first byte to its last")
    idle_timeout: Seconds = setting(
        600.0,
        "s",
        "The association is aborted if the peer, whose turn it is to send or receive, does nothing for so long",
    )
    max_associations: Count = setting(1500, "associations", "Per process; beyond it rejected for now (2/3/2)")
    max_associations_per_peer: Count = setting(
        200, "associations", "Per address; a peer's own limit in the policy is lower"
    )
    max_pdu: Annotated[int, Field(ge=4096, le=16 * MIB)] = setting(131072, "bytes", "Maximum PDU length we announce")
    max_associate_request: Annotated[int, Field(ge=16384)] = setting(262144, "bytes", "Longest A-ASSOCIATE-RQ accepted")
    max_contexts: Annotated[int, Field(ge=1, le=128)] = setting(
        128, "contexts", "Presentation contexts per association"
    )
    max_command_set: Annotated[int, Field(ge=1024)] = setting(65536, "bytes", "Longest DIMSE command set accepted")
    max_object: Count = setting(16 << 30, "bytes", "Longest data set accepted; beyond it A700H")
    listen_backlog: Count = setting(1024, "connections", "Connections that may wait to be accepted")
    async_window: Annotated[int, Field(ge=1, le=256)] = setting(
        8, "operations", "Operations that a peer may have in progress"
    )
    proxy_from: tuple[Cidr, ...] = setting(
        (),
        "CIDRs",
        "Addresses whose connections begin with a PROXY protocol v2 header: our front door, a load balancer",
    )
    private_sop_classes: tuple[Uid, ...] = setting(
        (), "UIDs", "Storage SOP classes to accept besides those of the standard"
    )


class Http(Section):
    """Health, readiness and metrics for anybody; DICOMweb for this machine, or with a token"""

    host: str = setting("0.0.0.0", "address", "Where to listen")  # noqa: S104 (probes come from outside)
    port: Port = setting(8080, "port", "Port; 0 takes a free one")
    tls_port: Port | None = setting(
        None,
        "port",
        "Port for HTTPS beside the plain one, with `tls.certificate`; clients show no certificate. Roles and workers "
        "add to it what they add to `port`",
    )
    tls_host: str = setting("0.0.0.0", "address", "Where to listen for HTTPS")  # noqa: S104 (a server)
    url: str | None = setting(
        None, "URL", "Our base URL for clients, without /dicom-web; taken from each request if not given"
    )
    tokens_file: Path | None = setting(
        None,
        "file",
        "NAME:TOKEN, one a line; DICOMweb then answers only requests with one of them (Authorization: Bearer)",
    )
    may_delete: tuple[str, ...] = setting(
        (),
        "names",
        "Tokens (their NAMEs) that may DELETE; `loopback`: this machine without a token; empty: nobody",
    )
    may_reject: tuple[CodeOfToken, ...] = setting(
        (),
        "NAME=CODE",
        "Tokens that may store rejection notes with this code (or `revoke`) only; tokens of `may_delete` that are not "
        "named here may use all codes",
    )
    may_correct: tuple[str, ...] = setting(
        (), "names", "Tokens (their NAMEs) that may correct studies and patients, and merge patients; as `may_delete`"
    )
    may_hold: tuple[str, ...] = setting(
        (), "names", "Tokens (their NAMEs) that may place and release holds over HTTP; as `may_delete`"
    )
    may_order: tuple[str, ...] = setting(
        (),
        "names",
        "Tokens (their NAMEs) that may place, change and cancel orders over HTTP (docs/orders.md); as `may_delete`",
    )
    may_operate: tuple[str, ...] = setting(
        (),
        "names",
        "Tokens (their NAMEs) that see the place Operations of the page, replay dead letters and test peers; as "
        "`may_delete`",
    )
    may_share: tuple[str, ...] = setting(
        (), "names", "Tokens (their NAMEs) that may make links for people outside (docs/sharing.md); as `may_delete`"
    )
    may_subscribe: tuple[str, ...] = setting(
        (), "names", "Tokens (their NAMEs) that may subscribe over FHIR (docs/fhir.md#subscriptions); as `may_delete`"
    )
    ohif: Path | None = setting(
        None, "folder", "OHIF's built `dist` (deploy/ohif.sh): the viewer at /ohif; none without it"
    )
    proxy_from: tuple[Cidr, ...] = setting(
        (), "CIDRs", "Addresses whose X-Forwarded-For is trusted: our front door, a reverse proxy"
    )
    cors_origins: tuple[str, ...] = setting(
        (), "origins", "Origins whose web pages may send requests, too; * for any, with tokens only"
    )
    max_connections: Count = setting(1000, "connections", "Per process; beyond it 503, except for a reserve for probes")
    max_connections_per_address: Count = setting(
        256, "connections", "Of one address that is not in `proxy_from`; beyond it 503"
    )
    max_requests_per_second: Annotated[float, Field(ge=0, allow_inf_nan=False)] = setting(
        0.0,
        "requests/s",
        "Of one token, user, or address without either, on average, per process; ten seconds' worth may come at once; "
        "beyond it 429; 0: no limit",
    )
    token_rates: tuple[RateOfToken, ...] = setting(
        (), "NAME=RATE", "Tokens with another `max_requests_per_second`; 0: no limit"
    )
    max_header: Annotated[int, Field(ge=4096, le=MIB)] = setting(
        16384, "bytes", "Longest request line, and header field"
    )
    header_deadline: Seconds = setting(
        30.0, "s", "From the start of a connection, or the last answer, to a complete request header"
    )
    stall: Seconds = setting(
        60.0,
        "s",
        "A body that does not move for so long is abandoned, in either direction; so is one that is slower than 1 KiB "
        "a second, once we have waited that long",
    )


def rejecting_tokens(http: Http) -> dict[str, frozenset[str]]:
    """By the name of a token, or `loopback`, the codes with which it may store rejection notes."""
    narrowed: dict[str, frozenset[str]] = {}
    for name, _, code in (pair.rpartition("=") for pair in http.may_reject):
        narrowed[name] = narrowed.get(name, frozenset()) | {code}
    return dict.fromkeys(http.may_delete, REJECTION_CODES) | narrowed


def rates_of_tokens(http: Http) -> dict[str, float]:
    """By the name of a token, how many requests a second it may send; 0 for no limit."""
    return {name: float(rate) for name, _, rate in (pair.rpartition("=") for pair in http.token_rates)}


class Tls(Section):
    """TLS on the DICOM port (PS3.15 B.12: BCP 195 RFC 8996, 9325)"""

    certificate: Path | None = setting(None, "PEM file", "Our certificate chain; TLS is off without it")
    key: Path | None = setting(None, "PEM file", "Its private key")
    ca: Path | None = setting(None, "PEM file", "The authority of our peers' certificates")
    require_client_certificate: bool = setting(True, "", "Reject peers without a certificate signed by `ca`")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a certificate and its key are needed together")
        if self.certificate is not None and self.require_client_certificate and self.ca is None:
            raise ValueError("require_client_certificate needs `ca`")
        return self
