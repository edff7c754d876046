"""The chart where nobody is trusted: TLS and passwords towards the stores, DICOM over TLS through the Service, a load
balancer with PROXY protocol, files from Secrets, spools on volumes, and a second archive as the shadow."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from tests.kubernetes.load import Load, found
from tests.kubernetes.node import Node
from tests.kubernetes.secured import NAMESPACE, RELEASE, STORES, Secured
from tests.kubernetes.site import Site
from tests.support import waiting
from tests.support.answering import wait_for
from tests.support.dcmtk import ok, run
from tests.support.objects import study

pytestmark = pytest.mark.timeout(900)

_REPLACED = '"setting": "opensearch.password_file", "event": "a secret was replaced"'


@pytest.fixture(scope="module")
def secured(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    release = Secured(site, tmp_path_factory.mktemp("secured"))
    try:
        release.prepare()
        release.install()
        yield release
    finally:
        release.remove()


@pytest.fixture(autouse=True)
def _show_what_went_wrong(request: pytest.FixtureRequest, site: Site) -> Iterator[None]:
    before = request.session.testsfailed
    yield
    if request.session.testsfailed > before:
        for namespace in (NAMESPACE, STORES):
            for pod in site.node.get("pods", namespace):
                name = pod["metadata"]["name"]
                print(f"---- {name}", site.node.try_kubectl("-n", namespace, "logs", name, "--tail=15").stdout)


def test_phantom_goes_all_the_way_where_every_store_asks_for_tls_and_a_password(secured: Secured) -> None:
    secured.node.helm("-n", NAMESPACE, "test", RELEASE, "--timeout", "4m")
    assert secured.kubectl("logs", f"{RELEASE}-test").splitlines()[-1] == "phantom: committed"
    logs = "".join(secured.logs(role) for role in ("door", "indexer", "mixed"))
    assert not [store for store, password in secured.passwords.items() if password in logs]


def test_modality_stores_over_tls_through_the_service_and_is_refused_without(secured: Secured, tmp_path: Path) -> None:
    files = study(tmp_path / "sent", 3, patient="TLS")
    pair = secured.authority.sign("modality")
    titles = ("-aet", "SECURE", "-aec", "SECURED", "127.0.0.1")
    tls = ("+tls", pair.key, pair.certificate, "+cf", secured.authority.ca)
    ok("storescu", "+sd", *tls, *titles, secured.ports["dicom-tls"], tmp_path / "sent")
    uid = str(pydicom.dcmread(files[0].path, stop_before_pixels=True).StudyInstanceUID)
    waiting.wait_searchable(secured.peer, uid, 3)
    assert run("echoscu", *titles, secured.ports["dicom"]).returncode != 0


def test_certificate_that_is_replaced_is_shown_by_every_door_without_a_restart(secured: Secured) -> None:
    before = secured.lives()
    pair = secured.authority.sign("looking")

    def shown() -> str:
        context = ssl.create_default_context(cafile=str(secured.authority.ca))
        context.load_cert_chain(pair.certificate, pair.key)
        certificate = asyncio.run(_certificate(secured.ports["dicom-tls"], context))
        return str(certificate["subject"])

    assert "door-1" in shown()
    secured.replace_certificate("door-2")
    started = time.monotonic()
    wait_for(lambda: "door-2" in shown(), 150, "the new certificate")
    print(f"a new certificate is shown after {time.monotonic() - started:.0f} s")
    assert secured.lives() == before


async def _certificate(port: int, context: ssl.SSLContext) -> dict[str, object]:
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    try:
        return dict(writer.get_extra_info("peercert"))
    finally:
        writer.close()


def test_load_balancer_says_whose_connection_it_passes_on_and_nobody_else_can(secured: Secured) -> None:
    balancer, door = secured.address("balancer"), f"{RELEASE}.{NAMESPACE}.svc.cluster.local"
    caller = ("echoscu", "-aet", "SCANNER", "-aec", "SECURED")
    assert secured.at("scanner", *caller, balancer, "11112").returncode == 0
    wait_for(lambda: secured.address("scanner") in secured.logs("door"), 20, "the scanner's address in the door's log")
    refused = secured.at("stranger", *caller, balancer, "11112")
    assert refused.returncode != 0, "another address is admitted under the scanner's title"
    # The door itself, past the balancer: by their own addresses.
    assert secured.at("scanner", *caller, door, "11112").returncode == 0
    assert secured.at("stranger", *caller, door, "11112").returncode != 0
    # Who is no balancer and names the scanner's address is not heard.
    claimed = _claim(secured.address("scanner"), secured.address("stranger"))
    script = f"exec 3<>/dev/tcp/{door}/11112; printf '{claimed}' >&3; timeout 5 head -c 1 <&3 | wc -c"
    assert (
        secured.at("stranger", "bash", "-c", script).stdout.strip() == "1"
    )  # a rejection or an abort, never an accept


def _claim(source: str, destination: str) -> str:
    """A header of PROXY protocol v2 as `printf` takes it."""
    addresses = [int(part) for address in (source, destination) for part in address.split(".")]
    header = [*b"\r\n\r\n\0\r\nQUIT\n", 0x21, 0x11, 0, 12, *addresses, 1, 1, 43, 104]
    return "".join(f"\\x{byte:02x}" for byte in header)


def test_dicomweb_is_reached_by_the_proxy_that_is_named_and_by_nobody_else(secured: Secured) -> None:
    status = secured.at("scanner", "bash", "-c", _get(f"{secured.address('balancer')}", 8080, secured.token)).stdout
    assert re.match(r"HTTP/1.1 20[04]", status), status
    nobody = secured.at("scanner", "bash", "-c", _get(secured.address("balancer"), 8080, "of-nobody")).stdout
    assert nobody.startswith("HTTP/1.1 401"), nobody
    past = secured.at("scanner", "bash", "-c", _get(f"{RELEASE}-web.{NAMESPACE}.svc.cluster.local", 80, secured.token))
    assert past.stdout == ""


def _get(host: str, port: int, token: str) -> str:
    lines = ("GET /dicom-web/studies?limit=1 HTTP/1.1", "Host: archive", f"Authorization: Bearer {token}")
    request = "\\r\\n".join((*lines, "Accept: application/dicom+json", "Connection: close", "", ""))
    return f"timeout 5 bash -c 'exec 3<>/dev/tcp/{host}/{port}; printf \"{request}\" >&3; head -1 <&3' 2>/dev/null"


def test_what_modalities_store_reaches_the_shadow_by_the_doors_pod(secured: Secured, tmp_path: Path) -> None:
    files = study(tmp_path / "sent", 4, patient="SHADOW")
    ok("storescu", "+sd", "-aet", "MODALITY", "-aec", "SECURED", "127.0.0.1", secured.ports["dicom"], tmp_path / "sent")
    uid = str(pydicom.dcmread(files[0].path, stop_before_pixels=True).StudyInstanceUID)
    first = secured.site.peer
    wait_for(lambda: len(asyncio.run(found(first, uid))) == 4, 60, "the study in the other archive")
    mounts = json.loads(secured.kubectl("get", f"deployment/{RELEASE}-door", "-o", "json"))
    volumes = {volume["name"]: volume for volume in mounts["spec"]["template"]["spec"]["volumes"]}
    assert volumes["shadow"]["emptyDir"]["sizeLimit"] == "64Mi"


def test_shadow_that_is_away_is_caught_up_with_from_the_spool(secured: Secured, tmp_path: Path) -> None:
    site = secured.site
    site.kubectl("scale", site.workload("door"), "--replicas=0")
    site.kubectl("wait", "pod", "-l", "app.kubernetes.io/component=door", "--for=delete", "--timeout=120s", seconds=140)
    files = study(tmp_path / "sent", 4, patient="AWAY")
    ok("storescu", "+sd", "-aet", "MODALITY", "-aec", "SECURED", "127.0.0.1", secured.ports["dicom"], tmp_path / "sent")
    uid = str(pydicom.dcmread(files[0].path, stop_before_pixels=True).StudyInstanceUID)
    held = secured.kubectl("exec", f"deployment/{RELEASE}-door", "--", "sh", "-c", "du -s /var/spool/gantry-shadow")
    assert int(held.split()[0]) > 0, held
    site.kubectl("scale", site.workload("door"), "--replicas=2")
    site.wait_rolled_out("door")
    wait_for(lambda: len(asyncio.run(found(site.peer, uid))) == 4, 120, "the study in the other archive")


def test_evidence_is_signed_by_the_role_that_was_given_the_key_alone(secured: Secured) -> None:
    indexer = ("exec", "-i", f"{RELEASE}-indexer-0", "--", "bash", "-c")
    assert secured.kubectl(*indexer, "gantry evidence state")
    public = (secured.folder / "evidence.pem.pub").read_text()
    verify = "cat > /tmp/key.pub; gantry evidence verify --key /tmp/key.pub"
    assert secured.kubectl(*indexer, verify, text=public)
    others = secured.kubectl("exec", f"{RELEASE}-mixed-0", "--", "sh", "-c", "ls /etc/gantry/files 2>/dev/null; true")
    assert others == ""


def test_audit_records_wait_on_the_volume_while_the_log_is_away_and_outlive_their_pod(secured: Secured) -> None:
    def waiting_there() -> int:
        return sum(file.stat().st_size for file in secured.spool.rglob("*") if file.is_file())

    kafka = secured.store_pod("kafka")
    wait_for(lambda: waiting_there() == 0, 60, "an empty spool")
    secured.node.pause_container(kafka)
    try:
        run("findscu", "-S", "-aet", "MODALITY", "-aec", "SECURED", "127.0.0.1", secured.ports["dicom"],
            "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=SPOOLED", "-k", "StudyInstanceUID")  # fmt: skip
        wait_for(lambda: waiting_there() > 0, 60, "a record in the spool")
        secured.kubectl("delete", "pod", f"{RELEASE}-mixed-0", "--grace-period=1")
        assert waiting_there() > 0
    finally:
        secured.node.pause_container(kafka, resume=True)
    wait_for(lambda: waiting_there() == 0, 180, "the records' way to the log")


def test_password_that_is_replaced_is_used_under_load_without_a_restart(secured: Secured, tmp_path: Path) -> None:
    before = secured.lives()
    secured.passwords["opensearch"] = "another-password"
    with Load(secured.peer, tmp_path) as load:
        time.sleep(3)
        secured.make_secret("opensearch", {"username": "gantry", "password": secured.passwords["opensearch"]})
        secured.make_secret("passwords", secured.passwords, STORES)
        secured.node.kubectl("-n", STORES, "rollout", "restart", "deployment/search")
        secured.node.kubectl("-n", STORES, "rollout", "status", "deployment/search", "--timeout=120s", seconds=140)
        for role in ("indexer", "mixed"):
            wait_for(lambda: _REPLACED in secured.logs(role), 150, f"the new password in {role}")
        time.sleep(5)
    print("a password replaced:", load.in_words())
    load.check(180)
    load.check_polite()
    assert secured.lives() == before


def test_stores_that_are_killed_one_after_the_other_lose_and_double_nothing(secured: Secured, tmp_path: Path) -> None:
    with Load(secured.peer, tmp_path) as load:
        for store in ("opensearch", "kafka", "s3"):
            time.sleep(4)
            secured.node.kill_container(secured.store_pod(store))
            ready = ("wait", f"deployment/{store}", "--for=condition=Available", "--timeout=180s")
            time.sleep(6)
            secured.node.kubectl("-n", STORES, *ready, seconds=200)
    print("stores killed one after the other:", load.in_words())
    load.check(240)
    load.check_polite()


def test_keda_asks_the_brokers_by_tls_and_with_a_password_and_scales_the_indexers(
    with_keda: Node, secured: Secured, tmp_path: Path
) -> None:
    keda = "keda.enabled=true,keda.maxReplicas=3,keda.lagThreshold=25,keda.pollingInterval=5,keda.cooldownPeriod=20"
    secured.upgrade("--set", keda)
    try:
        _wait_indexers(secured, 1)
        with Load(secured.peer, tmp_path) as load:
            (only,) = secured.node.get("pods", NAMESPACE, "-l", "app.kubernetes.io/component=indexer")
            secured.node.pause_container(only["metadata"]["uid"])
            try:
                _wait_indexers(secured, 3)
            finally:
                secured.node.pause_container(only["metadata"]["uid"], resume=True)
        print("indexers by lag, the brokers secured:", load.in_words())
        load.check(180)
        _wait_indexers(secured, 1, 300)
    finally:
        secured.upgrade("--set", "keda.enabled=false")


def _wait_indexers(secured: Secured, number: int, seconds: float = 180) -> None:
    def wanted() -> str:
        return secured.kubectl("get", f"statefulset/{RELEASE}-indexer", "-o", "jsonpath={.spec.replicas}")

    try:
        wait_for(lambda: wanted() == str(number), seconds, f"KEDA, which is to want {number} indexers")
    except AssertionError:
        print(secured.node.try_kubectl("-n", NAMESPACE, "describe", "scaledobject").stdout)
        print(*(secured.node.folder / "keda.log").read_text().splitlines()[-30:], sep="\n")
        raise
