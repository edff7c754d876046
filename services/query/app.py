"""Wiring of the query role."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from gantry.common.access import role_table
from gantry.common.config.secret_files import secret_of
from gantry.common.dicom.query.queries import FIND_INFORMATION
from gantry.common.dicom.standard.sop_classes import (
    PATIENT_ROOT_FIND,
    PATIENT_STUDY_ONLY_FIND,
    REPOSITORY_QUERY,
    STUDY_ROOT_FIND,
)
from gantry.common.dicom.standard.transfer_syntaxes import (
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
)
from gantry.common.fhir.identifiers import Systems
from gantry.common.ids import IMPLEMENTATION_VERSION_NAME
from gantry.common.net import Request, Service
from gantry.common.ports.index import ReadIndex
from gantry.common.runtime.availability import Availability
from gantry.common.runtime.deidentification_profiles import read_profiles
from gantry.common.runtime.feed import Feed
from gantry.common.runtime.study_facts import day_of
from gantry.common.runtime.subscribed_studies import SubscribedStudies
from gantry.common.runtime.subscription_seal import SubscriptionSeal
from gantry.common.subscriptions.resources import Urls
from gantry.common.telemetry.metrics import Metrics
from gantry.common.ul import Ability
from gantry.common.web.routes import BASE, FHIR, FHIR_R5, Resource
from gantry.common.web.server import Handler
from gantry.common.web.sessions import Sessions
from gantry.common.web.shares import SealedShares
from gantry.services.audited import audit_asking, audit_query
from gantry.services.context import Context, RoleParts
from gantry.services.query.c_find import FindService
from gantry.services.query.change_stream import ChangeService
from gantry.services.query.changes import ChangeReader
from gantry.services.query.federation.asking import Federation
from gantry.services.query.feed_service import FeedService
from gantry.services.query.fhir.service import FhirService
from gantry.services.query.fhir.subscriptions import NO_SUBSCRIPTIONS, SubscriptionService
from gantry.services.query.login.backchannel import BackChannel
from gantry.services.query.login.exchange import OurClient
from gantry.services.query.login.provider import Provider
from gantry.services.query.login.service import LoginService, no_login
from gantry.services.query.login.tokens import TokenReader
from gantry.services.query.overriding import OverrideService
from gantry.services.query.qido import SearchService
from gantry.services.query.sharing.web import OF_SHARES, ShareService, no_shares
from gantry.services.query.states import StudyStates
from gantry.services.query.viewer.web import Page

TRANSFER_SYNTAXES = (
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
    DEFLATED_EXPLICIT_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
)


async def build(context: Context) -> RoleParts:
    """C-FIND, QIDO-RS, changes, and the page."""
    settings = context.settings
    changes = ChangeReader(context.log, context.clock)
    feed = FeedService(Feed(context.objects, context.log, context.clock), context.clock)
    page = build_page(
        *(settings.http.ohif, settings.dimse.ae_title, settings.dimse.port, settings.completion.quiet),
        *(context.sessions, context.shares),
        lab=settings.lab,
    )
    strict = settings.query.patient_root_needs_patient
    audit = partial(audit_query, context.audit)
    availability = Availability(context.answers, {store.name: store.availability for store in settings.tiers.stores})
    federation = build_federation(context)
    web = build_web(context.answers, settings.http.url, changes, availability, federation)
    systems, today = Systems.read(settings.query.fhir_systems), day_of(context.clock.now_us())
    topic = Urls.below(settings.http.url, FHIR, BASE).topic if settings.subscriptions.is_on else ""
    fhir = FhirService(context.answers, settings.http.url, systems, IMPLEMENTATION_VERSION_NAME, today, topic)
    sharing = build_sharing(context)
    overriding = OverrideService(context.overrides, context.metrics)
    return RoleParts(
        build_services(
            *(context.answers, settings.dimse.ae_title, context.metrics, availability, audit, federation), strict=strict
        ),
        {
            **page,
            **build_login(context),
            **web,
            **feed.handlers(),
            **fhir.handlers(),
            **build_subscriptions(context, systems),
            **overriding.handlers(),
            **sharing,
        },
        close=[changes.close],
    )


def build_federation(context: Context) -> Federation | None:
    """The other archives that queries may span; None if there are none."""
    settings = context.settings.federation
    if not settings.archives:
        return None
    return Federation(
        *(settings.archives, context.peers, context.settings.dimse.ae_title, context.metrics),
        most_answers=settings.most_answers,
        at_once=settings.at_once,
        audit=partial(audit_asking, context.audit),
        breakers=context.breakers,
    )


def build_page(
    ohif: Path | None,
    ae_title: str,
    port: int,
    quiet: float = 0.0,
    sessions: Sessions | None = None,
    shares: SealedShares | None = None,
    *,
    lab: bool = False,
) -> dict[Resource, Handler]:
    """The study list's page, and OHIF where it is installed. `ae_title` and `port` are the address to send images to,
    `quiet` and `lab` as in `Page`."""
    return {Resource.PAGE: Page(ohif, ae_title, port, quiet, sessions, shares, lab=lab)}


def build_login(context: Context) -> Mapping[Resource, Handler]:
    """Login of people in a browser, if it is configured. Raises `ConfigError`."""
    login, access = context.settings.login, context.settings.access
    if context.sessions is None or context.issuers is None:
        return dict.fromkeys((Resource.LOGIN, Resource.SESSION), no_login)
    issuer = next(issuer for issuer in access.issuers if issuer.name == login.issuer)
    provider = Provider(issuer, context.clock, access.keys_every, access.keys_deadline)
    from_id_token = login.claims_from == "id-token"
    reader = TokenReader(context.issuers, issuer.name, role_table(access.roles), from_id_token=from_id_token)
    client = OurClient(
        login.client_id,
        context.sessions.url,
        login.scopes,
        secret_of(login.client_secret_file, "login.client_secret_file") or "",
    )
    assert context.followed_sessions is not None
    back_channel = BackChannel(
        context.followed_sessions,
        client,
        reader,
        issuer.name,
        context.clock,
        context.metrics,
        context.settings.http.stall,
    )
    return LoginService(context.sessions, provider, client, reader, context.metrics, back_channel).handlers()


def build_sharing(context: Context) -> Mapping[Resource, Handler]:
    """Links for people outside, if they are configured."""
    sealed, followed, http = context.shares, context.followed_shares, context.settings.http
    if sealed is None or followed is None:
        return dict.fromkeys(OF_SHARES, no_shares)
    longest = int(context.settings.sharing.longest_days * 24 * 3600 * 1e6)
    return ShareService(
        sealed,
        followed,
        context.answers,
        context.clock,
        context.metrics,
        longest,
        http.may_share,
        http.may_operate,
        context.sessions,
        read_profiles(context.settings.deidentification.profiles, {}),
    ).handlers()


def build_subscriptions(context: Context, systems: Systems) -> Mapping[Resource, Handler]:
    """Subscriptions over FHIR, if the settings name addresses that may be notified. Raises `ConfigError`."""
    settings, followed = context.settings, context.followed_subscriptions
    if followed is None:
        return NO_SUBSCRIPTIONS
    studies = SubscribedStudies(context.answers, systems, Urls.below(settings.http.url, FHIR, BASE, FHIR_R5))
    return SubscriptionService(
        followed,
        SubscriptionSeal(settings),
        studies,
        settings.subscriptions,
        systems,
        context.clock,
        context.metrics,
        settings.http.may_subscribe,
        settings.http.may_operate,
    ).handlers()


def build_web(
    index: ReadIndex,
    public_url: str | None,
    changes: ChangeReader | None = None,
    availability: Availability | None = None,
    federation: Federation | None = None,
) -> dict[Resource, Handler]:
    """The DICOMweb half of this role. `public_url` is the URL by which clients reach us, if known; without `changes`
    there is no change stream."""
    streams = ChangeService(changes).handlers() if changes is not None else {}
    searches = SearchService(index, public_url, availability, federation).handlers()
    return {**searches, **StudyStates(index).handlers(), **streams}


def build_services(
    index: ReadIndex,
    ae_title: str,
    metrics: Metrics,
    availability: Availability | None = None,
    audit: Callable[[Request, str], None] = lambda *_: None,
    federation: Federation | None = None,
    *,
    strict: bool = False,
) -> list[Service]:
    """The services of this role. `ae_title` is the one to retrieve from; `strict` as in `FindService`."""
    ability = Ability(frozenset(TRANSFER_SYNTAXES), preferred=TRANSFER_SYNTAXES, extended=FIND_INFORMATION)
    classes = (PATIENT_ROOT_FIND, STUDY_ROOT_FIND, PATIENT_STUDY_ONLY_FIND, REPOSITORY_QUERY)
    abilities = dict.fromkeys(classes, ability)
    find = FindService(
        *(abilities, index, ae_title, metrics),
        strict=strict,
        availability=availability,
        audit=audit,
        federation=federation,
    )
    return [find]
