"""Nothing of a patient goes out where something fails: a marked patient is stored, marked texts are sent wherever a
client can put one, and answers, log, metrics, spans, webhooks and commands are searched for both.

What somebody sent may be told to himself, as the name of a parameter or attribute that there is none of, and stands in
no log. What others own is told to nobody by a failure.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest
from pynetdicom.sop_class import (
    CTImageStorage,
    ModalityPerformedProcedureStep,
    ModalityWorklistInformationFind,
    PatientRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
    StudyRootQueryRetrieveInformationModelMove,
    UnifiedProcedureStepPush,
)

from gantry.cli.identifiers import BOTH
from gantry.common.net.mllp_client import MllpClient
from tests.support import overheard
from tests.support.archive import IMPORTS, RunningArchive
from tests.support.hook_receiver import SECRET, HookReceiver
from tests.support.messages import ORDER, PATIENT, PROCEDURE, message, order, patient, segment
from tests.support.objects import data_set, file_bytes
from tests.support.offending import identifiers, refused_objects, requests
from tests.support.ports import free_port
from tests.support.preloaded import run_gantry
from tests.support.pynetdicom_peers import associated
from tests.support.sharing import Ward
from tests.support.span_sink import SpanSink
from tests.support.stow import files, post
from tests.support.topology import TOPOLOGIES, environment, remove_stores

STUDY = "1.2.77.1"
SENT = "Sentmark^Mine"
OTHERS = "Keptmark^Other"
OWNED = dict.fromkeys(
    (
        *("OtherPatientNames", "PatientAddress", "PatientComments", "StudyDescription", "InstitutionName"),
        *("ReferringPhysicianName", "AccessionNumber", "StudyID", "StationName", "OperatorsName"),
    ),
    "KEPTMARK",
) | {"PatientBirthDate": "19010203"}
KEPT, MINE = re.compile("keptmark|19010203", re.IGNORECASE), re.compile("sentmark", re.IGNORECASE)
EITHER = re.compile(f"{KEPT.pattern}|{MINE.pattern}", re.IGNORECASE)
_TOLD = (
    "'(OtherPatientIDsSequence.)?SENT' is (neither a keyword of|no (search )?parameter|not a (parameter|destination))",
    "names 'SENT', which is not an attribute",
    "^SENT: unknown key",
    "Sentmark_Mine is no parameter and no attribute",
)
NAMED = re.compile("|".join(_TOLD).replace("SENT", re.escape(SENT)))
"""How somebody is told which name of his is none."""


@dataclass
class Marked:
    """The archive, and who listens to it."""

    archive: RunningArchive
    hl7: int
    sink: SpanSink
    hook: HookReceiver
    folder: Path

    def require_nothing_said(self) -> None:
        """In the log, the metrics and the spans there is neither mark."""
        time.sleep(1.5)  # spans are sent each second
        texts = {
            "the log": self.archive.log.read_text(),
            "the metrics": self.archive.http("/metrics")[1],
            "the spans": b"\n".join(self.sink.posted).decode("utf-8", "replace"),
        }
        assert self.sink.posted
        for where, text in texts.items():
            lines = [line for line in text.splitlines() if EITHER.search(line)]
            assert not lines, f"{where}: {lines[:3]}"


@pytest.fixture(scope="module", params=TOPOLOGIES)
def marked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marked]:
    folder: Path = tmp_path_factory.mktemp("leaks")
    archive, hl7 = RunningArchive(folder, environment=environment(request.param, folder)), free_port()
    sink, hook = SpanSink(), HookReceiver()
    (folder / "shares").write_text("x" * 44)
    (folder / "secret").write_bytes(SECRET)
    may = ", ".join(f"may_{verb}: [loopback]" for verb in ("correct", "operate", "order", "delete", "hold", "share"))
    archive.write_policy(
        [],
        f"traces: {{endpoint: '{sink.endpoint}'}}\n"
        f"http: {{url: 'http://127.0.0.1:{archive.http_port}', {may}, may_subscribe: [loopback]}}\n"
        f"sharing: {{key_file: {folder}/shares}}\n"
        f"webhooks: [{{name: ris, url: '{hook.url}', secret_file: {folder}/secret}}]\n"
        f"hl7: {{port: {hl7}, profiles: [{{sender: 'RIS^*', authorities: ['HOSP=']}}]}}\n",
    )
    with ExitStack() as stack:
        stack.enter_context(sink.running())
        stack.enter_context(hook.running())
        stack.callback(remove_stores, archive.environment)
        stack.callback(archive.stop)
        archive.start()
        marked = Marked(archive, hl7, sink, hook, folder)
        uids = {"study": STUDY, "series": f"{STUDY}.1", "instance": f"{STUDY}.1.1"}
        owned = data_set(**uids, name=OTHERS, patient="KEPTMARK", **OWNED)  # type: ignore[arg-type]
        assert post(archive, files([file_bytes(owned)])).status == 200
        deadline = time.monotonic() + 30
        while not marked.hook.instances():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield marked
        assert archive.alive, archive.log.read_text()


def test_no_answer_over_http_has_what_others_own_and_no_log_has_what_was_sent(marked: Marked) -> None:
    ward, failed = Ward(marked.archive, marked.folder), 0
    for request in requests(SENT, STUDY):
        answer = ward.send(request.path, request.method, request.body, request.headers)
        texts = [answer.body.decode("utf-8", "replace")] if answer.status >= 400 else []
        failed += len(texts)
        texts += [f"{name}: {value}" for name, value in answer.headers.items()]
        whole = unquote("\n".join(texts))
        assert not KEPT.search(whole), (request, answer.status, whole)
        assert not MINE.search(NAMED.sub("", whole)), (request, answer.status, whole)
        assert answer.status not in (500, 502), (request, whole)
    assert failed > 2000
    overheard.noted()  # it was looked at more closely here
    marked.require_nothing_said()


def test_no_error_comment_has_what_was_sent_or_what_others_own(marked: Marked, monkeypatch: pytest.MonkeyPatch) -> None:
    from pynetdicom.dimse_messages import DIMSEMessage

    comments, to_primitive = [], DIMSEMessage.message_to_primitive

    def heard(self: DIMSEMessage) -> object:
        comments.append(str(self.command_set.get("ErrorComment", "")))
        return to_primitive(self)

    monkeypatch.setattr(DIMSEMessage, "message_to_primitive", heard)
    finds = [
        *(StudyRootQueryRetrieveInformationModelFind, PatientRootQueryRetrieveInformationModelFind),
        ModalityWorklistInformationFind,
    ]
    get, move = StudyRootQueryRetrieveInformationModelGet, StudyRootQueryRetrieveInformationModelMove
    steps = [ModalityPerformedProcedureStep, UnifiedProcedureStepPush]
    classes = [(str(uid), BOTH) for uid in [*finds, get, move, CTImageStorage, *steps]]
    with associated(marked.archive.peer, classes) as association:
        for identifier in identifiers(SENT):
            for find in finds:
                list(association.send_c_find(identifier, find))
            list(association.send_c_get(identifier, get))
            list(association.send_c_move(identifier, "SENTMARK", move))
            for step in steps:
                association.send_n_create(identifier, step, "1.2.96")
                association.send_n_set(identifier, step, "1.2.96")
        for refused in refused_objects(SENT):
            assert association.send_c_store(refused).Status >= 0xA000
    remarks = {comment for comment in comments if comment}
    assert len(remarks) > 10
    assert not [comment for comment in remarks if EITHER.search(comment)]
    marked.require_nothing_said()


async def test_no_acknowledgement_has_what_was_sent_or_what_others_own(marked: Marked) -> None:
    values = (SENT, SENT * 40, "SENTMARK~SENTMARK^SENT^^&SENTMARK")
    messages = [
        order(control_id=f"{name}{field}.{number}", **{name: {**fields, field: value}})  # type: ignore[arg-type]
        for name, fields in (("pid", PATIENT), ("orc", ORDER), ("obr", PROCEDURE))
        for field in sorted({*fields, 1, 2, 7, 16, 27})
        for number, value in enumerate(values)
    ]
    messages += [
        patient(event, pid={field: SENT}, mrg=prior, control_id=f"{event}{field}")
        for event in ("A08", "A40", "A34", "A47", "Z99")
        for field in (3, 5, 7, 8)
        for prior in (None, {1: "4711^^^SENTMARK"})
    ]
    # Who sends, and as what, is said in logs: MSH-3, MSH-4, MSH-10. MSH-15 and MSH-16 say whether there is an answer.
    messages += [
        message("ADT^A08", segment("PID", PATIENT), control_id=f"M{field}", extra={field: SENT})
        for field in (5, 6, 7, 8, 9, 11, 12, 18)
    ]
    messages += [f"MSH|{SENT}|{SENT}\rPID|||{SENT}\r".encode(), f"PID|||{SENT}\r".encode()]
    refused = 0
    async with MllpClient("127.0.0.1", marked.hl7) as client:
        for content in messages:
            answer = (await client.send(content)).decode("utf-8", "replace")
            report = "\n".join(line for line in answer.split("\r") if line.startswith(("MSA", "ERR")))
            refused += "MSA|AA" not in report
            assert not EITHER.search(report), (content, report)
    assert refused > 50
    await asyncio.to_thread(marked.require_nothing_said)


COMMANDS = {
    "dlq": ["dlq", "list", "--all"],
    "where": ["where", STUDY],
    "conflicts": ["conflicts"],
    "routes": ["routes", "list"],
    "webhooks": ["webhooks"],
    "usage": ["usage"],
    "verify": ["verify"],
    "reconcile": ["reconcile"],
    "share": ["share", "list"],
    "history": ["history", "1.2.99"],
}
"""What is said by commands that are not asked to show patients."""


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_that_are_not_asked_for_patients_name_none(marked: Marked, name: str) -> None:
    archive = marked.archive
    variables = {"PYTHONPATH": IMPORTS, "GANTRY_DATA": str(archive.folder / "data"), **archive.environment}
    command = [*COMMANDS[name], "--config", str(archive.config)]
    done = run_gantry(command, variables, marked.folder, timeout=60)
    assert "Usage:" not in done.stderr, done.stderr
    assert not KEPT.search(done.stdout + done.stderr), done


def test_a_bundle_for_support_has_nothing_of_either(marked: Marked, tmp_path: Path) -> None:
    import zipfile

    archive = marked.archive
    variables = {"PYTHONPATH": IMPORTS, "GANTRY_DATA": str(archive.folder / "data"), **archive.environment}
    words = ["--port", archive.http_port, "--config", archive.config, "--log", archive.log]
    done = run_gantry(["support", "--output", tmp_path / "bundle.zip", *words], variables, marked.folder, timeout=110)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        texts = {name: bundle.read(name).decode("utf-8", "replace") for name in bundle.namelist()}
    assert len(texts) > 5
    assert not [name for name, text in texts.items() if EITHER.search(text)]
