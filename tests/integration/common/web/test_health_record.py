"""The patient of an app's token is asked for at his health record (SMART App Launch), at a real server of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gantry.common.access import CallerRole
from tests.integration.common.web.test_issuers import Site
from tests.support.issuer import TestIssuer

SCOPE = "launch/patient patient/ImagingStudy.rs patient/Patient.rs"


class RecordSite(Site):
    """Its issuer is that of a health record."""

    async def start(self, **changed: object) -> None:
        record = {
            "roles_claim": "scope",
            "roles": ["patient/ImagingStudy.rs=patient", "patient/*.rs=patient"],
            "patient_claim": "patient",
            "fhir_url": self.issuer.fhir_url,
            "patient_systems": ["urn:oid:1.2=HOSPITAL"],
        }
        await super().start(**{**record, **changed})

    def app(self, patient: object = "123", scope: str = SCOPE) -> str:
        return self.issuer.token(patient=patient, scope=scope)


@pytest.fixture
async def site() -> AsyncIterator[RecordSite]:
    issuer = TestIssuer()
    issuer.patients["123"] = {"identifier": [{"system": "urn:oid:1.2", "value": "4711"}]}
    async with issuer.serving():
        fixture = RecordSite(issuer)
        async with fixture.stack:
            yield fixture


async def test_app_is_for_the_patient_whom_the_record_names_and_he_is_asked_for_once_in_a_while(
    site: RecordSite,
) -> None:
    await site.start()
    token = site.app()
    assert {(await site.ask(token))[0] for _ in range(4)} == {200}
    identity = site.callers[0].identity
    assert identity.roles == {CallerRole.PATIENT}
    assert identity.facts.patients == (("4711", "HOSPITAL"),)
    assert identity.facts.record == f"{site.issuer.fhir_url}/Patient/123"
    assert site.issuer.read == [("123", token)]
    site.issuer.patients["123"] = {"identifier": [{"system": "urn:oid:1.2", "value": "4712"}]}
    site.clock.advance(30.1)
    assert (await site.ask(token))[0] == 200
    assert site.callers[-1].identity.facts.patients == (("4712", "HOSPITAL"),)


async def test_many_who_come_with_one_token_ask_one_question(site: RecordSite) -> None:
    await site.start()
    site.issuer.hold = asyncio.Event()
    token = site.app()
    # Its keys are held, too, until then.
    asking = [asyncio.create_task(site.ask(token)) for _ in range(20)]
    await asyncio.sleep(0.1)
    site.issuer.hold.set()
    assert {(await answer)[0] for answer in asking} == {200}
    assert len(site.issuer.read) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_token_that_may_not_read_its_patient_is_refused(site: RecordSite, status: int) -> None:
    await site.start()
    site.issuer.refuses = status
    answered, challenge = await site.ask(site.app())
    assert (answered, "does not show its patient" in challenge) == (401, True)
    assert site.refused("patient") == 1.0


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"x" * (1 << 19)], ids=["a page", "an object", "much"])
async def test_record_that_answers_what_is_none_is_away(site: RecordSite, body: bytes) -> None:
    await site.start()
    assert (await site.ask(site.app("124")))[0] == 401
    site.issuer.answer = body
    assert (await site.ask(site.app()))[0] == 503
    site.issuer.answer, site.issuer.refuses = None, 500
    assert (await site.ask(site.app()))[0] == 503
    site.issuer.refuses = None
    assert (await site.ask(site.app()))[0] == 200


@pytest.mark.parametrize("patient", [None, "../Binary/1", "a/b", ["123", "124"], 5])
async def test_token_without_one_patient_is_for_nobody(site: RecordSite, patient: object) -> None:
    await site.start()
    assert (await site.ask(site.app(patient)))[0] == 200
    facts = site.callers[0].identity.facts
    assert (facts.patients, facts.record, site.issuer.read) == ((), "", [])


async def test_token_without_the_scope_has_no_role(site: RecordSite) -> None:
    await site.start()
    assert (await site.ask(site.app(scope="patient/Observation.rs")))[0] == 403
