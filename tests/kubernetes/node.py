"""A real Kubernetes node on this machine, for as long as a test session needs it: etcd, the control plane, a kubelet on
containerd of its own, kube-proxy, CoreDNS, and a controller that enforces network policies. Nothing of it listens
beyond this machine, and nothing of it is left.

Needs root on Debian; the programs come from `deploy/images/artefacts.sh kubernetes` and from Debian's packages.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from secrets import token_hex
from typing import Any, Self

from tests.kubernetes.leftovers import (
    DNS,
    FORWARD,
    MARK,
    PODS,
    SERVICES,
    clean_network,
    command_of,
    programs,
    remove_abandoned,
    remove_containers,
    remove_folder,
)
from tests.support.answering import wait_for
from tests.support.ports import free_port
from tests.support.server import Unavailable

NAME = "127.0.0.1"
_DEBIAN = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "openssl": "openssl",
}
_PLUGINS = Path("/usr/lib/cni")
_PAUSE = "registry.k8s.io/pause:3.10"


def need_debian() -> None:
    """See that Debian's programs are there. Raises `Unavailable`."""
    if os.getuid() != 0:
        raise Unavailable("a node needs root")
    missing = [package for program, package in _DEBIAN.items() if shutil.which(program) is None]
    if not (_PLUGINS / "ptp").exists():
        missing.append("containernetworking-plugins")
    if not missing:
        return
    if shutil.which("apt-get") is None:
        raise Unavailable(f"not found: {', '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing],
    ):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"{' '.join(command)}: {done.stderr.strip()[-200:]}")


class Node:
    """The node, within `with`. `times` has the seconds of each step, for the figures."""

    def __init__(self) -> None:
        need_debian()
        self.programs = programs()
        remove_abandoned()
        rules = subprocess.run(["iptables-save"], capture_output=True, text=True, check=False).stdout
        if "KUBE-SERVICES" in rules:
            raise Unavailable("another Kubernetes node runs on this machine")
        self.folder = Path(tempfile.mkdtemp(prefix=MARK))
        self.kubeconfig = self.folder / "kubeconfig"
        self.times: dict[str, float] = {}
        self._pids: dict[str, int] = {}
        self._beside: list[str] = []
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._token = token_hex(16)
        self._ports = {
            name: free_port()
            for name in ("etcd", "etcd-peer", "api", "kubelet", "kubelet-health", "proxy-health", "proxy-metrics")
        }

    # ---- what tests use

    def kubectl(self, *arguments: str, text: str | None = None, seconds: float = 120.0) -> str:
        """`kubectl …`, which must succeed; its output."""
        done = self.try_kubectl(*arguments, text=text, seconds=seconds)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    def try_kubectl(
        self, *arguments: str, text: str | None = None, seconds: float = 120.0
    ) -> subprocess.CompletedProcess[str]:
        """The same where it may fail."""
        return self._run("kubectl", *arguments, text=text, seconds=seconds)

    def helm(self, *arguments: str, seconds: float = 600.0) -> str:
        """`helm …`, which must succeed; its output."""
        done = self.try_helm(*arguments, seconds=seconds)
        assert done.returncode == 0, f"helm {' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    def try_helm(self, *arguments: str, seconds: float = 600.0) -> subprocess.CompletedProcess[str]:
        """The same where it may fail."""
        return self._run("helm", *arguments, seconds=seconds)

    def get(self, kind: str, namespace: str, *arguments: str) -> list[dict[str, Any]]:
        """Objects of a kind."""
        text = self.kubectl("-n", namespace, "get", kind, "-o", "json", *arguments)
        return list(json.loads(text)["items"])

    def load(self, *images: str) -> None:
        """Bring images of the Docker engine onto the node."""
        started = time.monotonic()
        save = subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE)
        command = [*self._ctr(), "images", "import", "-"]
        done = subprocess.run(command, stdin=save.stdout, capture_output=True, text=True, check=False, timeout=600)
        assert done.returncode == 0, done.stderr
        assert save.wait() == 0
        self.times["images loaded"] = time.monotonic() - started

    def tag(self, image: str, other: str) -> None:
        """Give an image on the node another name."""
        names = [f"docker.io/library/{name}" for name in (image, other)]
        subprocess.run([*self._ctr(), "images", "tag", "--force", *names], capture_output=True, check=True)

    def kill_container(self, pod_uid: str) -> None:
        """SIGKILL for the process of a pod, as the kernel does it when memory runs out."""
        for name in self._listed("containers", f'labels."io.kubernetes.pod.uid"=={pod_uid}'):
            info = subprocess.run([*self._ctr(), "containers", "info", name], capture_output=True, check=True)
            if json.loads(info.stdout)["Labels"].get("io.cri-containerd.kind") == "container":
                # One that has ended already, by an earlier restart, has no task.
                subprocess.run([*self._ctr(), "tasks", "kill", "-s", "SIGKILL", name], capture_output=True, check=False)

    def _listed(self, kind: str, *filters: str) -> list[str]:
        command = [*self._ctr(), kind, "list", "-q", *filters]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    def pause_container(self, pod_uid: str, *, resume: bool = False) -> None:
        """Stop the process of a pod where it stands, or let it go on."""
        for name in self._listed("containers", f'labels."io.kubernetes.pod.uid"=={pod_uid}'):
            info = subprocess.run([*self._ctr(), "containers", "info", name], capture_output=True, check=True)
            if json.loads(info.stdout)["Labels"].get("io.cri-containerd.kind") == "container":
                word = "resume" if resume else "pause"
                subprocess.run([*self._ctr(), "tasks", word, name], capture_output=True, check=False)

    def certificate(self, name: str, *subjects: str) -> Path:
        """A certificate that has signed itself, `NAME.crt` with `NAME.key` beside it."""
        file = self.folder / f"{name}.crt"
        subprocess.run(
            [
                *(
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "rsa:2048",
                    "-nodes",
                    "-days",
                    "2",
                    "-subj",
                    f"/CN={file.stem}",
                ),
                *("-addext", f"subjectAltName={','.join(f'DNS:{subject}' for subject in subjects)}"),
                *("-keyout", str(file.with_suffix(".key")), "-out", str(file)),
            ],
            check=True,
            capture_output=True,
        )
        return file

    def run_beside(self, name: str, *command: str) -> None:
        """Start a program that ends with the node; it looks names up as pods do. The node's folder is named in its
        command line."""
        resolve = f"mount --bind {self.folder}/resolv.conf /etc/resolv.conf && exec "
        words = ["env", f"KUBECONFIG={self.kubeconfig}", *command]
        self._beside.append(name)
        self._spawn(name, "unshare", "-m", "sh", "-c", resolve + shlex.join(words))

    def ended(self) -> list[str]:
        """The node's own programs that have ended, which none of them should."""
        pids = json.loads((self.folder / "pids.json").read_text())["pids"]
        return [name for name, pid in pids.items() if str(self.folder) not in command_of(pid)]

    # ---- start and end

    @classmethod
    def running(cls, folder: Path) -> Self:
        """One that `python -m tests.kubernetes` holds."""
        node = cls.__new__(cls)
        node.programs, node.folder, node.kubeconfig, node.times = programs(), folder, folder / "kubeconfig", {}
        return node

    def __enter__(self) -> Self:
        started = time.monotonic()
        try:
            self._start()
        except BaseException:
            self._show_logs()
            self.end()
            raise
        self.times["node ready"] = time.monotonic() - started
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def _start(self) -> None:
        api = f"https://127.0.0.1:{self._ports['api']}"
        self._write_files(api)
        (self.folder / "run").mkdir()
        subprocess.run(["ip", "address", "add", f"{DNS}/32", "dev", "lo"], check=False, capture_output=True)
        # Docker's engine drops what it does not know; this is between pods, and from this machine to them.
        for rule in FORWARD:
            subprocess.run(["iptables", "-w", "-I", "FORWARD", *rule], check=True)
        self._spawn("containerd", "containerd", "--config", str(self.folder / "containerd.toml"))
        etcd, peer = (f"http://127.0.0.1:{self._ports[name]}" for name in ("etcd", "etcd-peer"))
        self._spawn(
            "etcd",
            *("etcd", "--data-dir", str(self.folder / "etcd"), "--log-level", "warn"),
            *("--listen-client-urls", etcd, "--advertise-client-urls", etcd),
            *(
                "--listen-peer-urls",
                peer,
                "--initial-advertise-peer-urls",
                peer,
                "--initial-cluster",
                f"default={peer}",
            ),
        )
        key = str(self.folder / "service-account.key")
        aggregator = str(self.certificate("aggregator", "aggregator"))
        self._spawn(
            "kube-apiserver",
            *(self._program("kube-apiserver"), "--etcd-servers", etcd, "--bind-address", "127.0.0.1"),
            *("--secure-port", str(self._ports["api"]), "--cert-dir", str(self.folder / "api")),
            *("--advertise-address", "127.0.0.1", "--endpoint-reconciler-type", "none"),
            *("--service-cluster-ip-range", SERVICES, "--authorization-mode", "Node,RBAC"),
            *("--token-auth-file", str(self.folder / "tokens.csv"), "--allow-privileged"),
            *("--service-account-issuer", api, "--service-account-key-file", key),
            *("--service-account-signing-key-file", key, "--kubelet-preferred-address-types", "Hostname"),
            *("--enable-priority-and-fairness=false", "--v", "1"),
            # Whom other servers of the API, such as those of the metrics that autoscalers go by, hear from.
            *("--client-ca-file", aggregator, "--requestheader-client-ca-file", aggregator),
            *("--proxy-client-cert-file", aggregator),
            *("--proxy-client-key-file", aggregator.replace(".crt", ".key"), "--requestheader-allowed-names", ""),
            *("--requestheader-username-headers", "X-Remote-User", "--requestheader-group-headers", "X-Remote-Group"),
            *("--requestheader-extra-headers-prefix", "X-Remote-Extra-"),
        )
        wait_for(lambda: (self.folder / "api" / "apiserver.crt").exists(), 60, "the API server's certificate")
        wait_for(lambda: self.try_kubectl("get", "--raw", "/readyz").returncode == 0, 90, "the API server")
        self._start_rest(key)
        wait_for(self._is_ready, 90, "the node")
        wait_for(self._has_accounts, 60, "service accounts")

    def _start_rest(self, key: str) -> None:
        config = str(self.kubeconfig)
        self._spawn(
            "kube-controller-manager",
            *(self._program("kube-controller-manager"), "--kubeconfig", config, "--leader-elect=false"),
            *("--allocate-node-cidrs", "--cluster-cidr", PODS, "--service-cluster-ip-range", SERVICES),
            *("--service-account-private-key-file", key, "--root-ca-file", str(self.folder / "api" / "apiserver.crt")),
            *("--secure-port", "0", "--horizontal-pod-autoscaler-sync-period", "5s"),
        )
        self._spawn(
            "kube-scheduler",
            *(self._program("kube-scheduler"), "--kubeconfig", config, "--leader-elect=false", "--secure-port", "0"),
        )
        self._spawn(
            "kubelet",
            *(self._program("kubelet"), "--kubeconfig", config, "--config", str(self.folder / "kubelet.json")),
            *("--hostname-override", NAME, "--root-dir", str(self.folder / "kubelet")),
            *("--cert-dir", str(self.folder / "kubelet-certificates")),
        )
        self._spawn("kube-proxy", self._program("kube-proxy"), "--config", str(self.folder / "proxy.json"))
        self._spawn("coredns", str(self.programs / "coredns"), "-conf", str(self.folder / "Corefile"))
        # Asked about every connection that a pod begins to another pod. It tries to make rules of nftables of its own
        # for that as well, and says in its log where the kernel has no queues there; those of iptables do.
        self._spawn("policies", self._program("policies"), "-kubeconfig", config, "-node", NAME)

    def _write_files(self, api: str) -> None:
        folder = self.folder
        files: dict[str, str | dict[str, Any]] = {
            "tokens.csv": f'{self._token},admin,admin,"system:masters"\n',
            "containerd.toml": _CONTAINERD.format(folder=folder, plugins=_PLUGINS, pause=_PAUSE),
            "cni/10-pods.conflist": {
                "cniVersion": "0.4.0",
                "name": folder.name,
                "plugins": [
                    {
                        "type": "ptp",
                        "ipam": {
                            "type": "host-local",
                            "dataDir": str(folder / "addresses"),
                            "ranges": [[{"subnet": PODS.replace("/16", "/24")}]],
                            "routes": [{"dst": "0.0.0.0/0"}],
                        },
                    }
                ],
            },
            "kubeconfig": {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "node",
                "clusters": [
                    {
                        "name": "node",
                        "cluster": {"server": api, "certificate-authority": str(folder / "api" / "apiserver.crt")},
                    }
                ],
                "users": [{"name": "admin", "user": {"token": self._token}}],
                "contexts": [{"name": "node", "context": {"cluster": "node", "user": "admin"}}],
            },
            "kubelet.json": {
                "apiVersion": "kubelet.config.k8s.io/v1beta1",
                "kind": "KubeletConfiguration",
                "address": "127.0.0.1",
                "port": self._ports["kubelet"],
                "healthzPort": self._ports["kubelet-health"],
                "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
                "authorization": {"mode": "AlwaysAllow"},
                "cgroupDriver": "cgroupfs",
                "containerRuntimeEndpoint": f"unix://{folder}/run/containerd.sock",
                "clusterDNS": [DNS],
                "clusterDomain": "cluster.local",
                "failSwapOn": False,
                "makeIPTablesUtilChains": False,
                "failCgroupV1": False,
                "resolvConf": str(folder / "resolv.conf"),
                "evictionHard": {"memory.available": "200Mi", "nodefs.available": "2%", "imagefs.available": "2%"},
                "imageGCHighThresholdPercent": 100,
                "configMapAndSecretChangeDetectionStrategy": "Watch",
                "syncFrequency": "10s",
                "registerNode": True,
                "maxPods": 110,
            },
            "proxy.json": {
                "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
                "kind": "KubeProxyConfiguration",
                "bindAddress": "127.0.0.1",
                "hostnameOverride": NAME,
                "mode": "iptables",
                "clusterCIDR": PODS,
                "healthzBindAddress": f"127.0.0.1:{self._ports['proxy-health']}",
                "metricsBindAddress": f"127.0.0.1:{self._ports['proxy-metrics']}",
                "nodePortAddresses": ["127.0.0.0/8"],
                "conntrack": {"maxPerCore": 0},
                "clientConnection": {"kubeconfig": str(self.kubeconfig)},
            },
            "resolv.conf": f"nameserver {DNS}\n",
            "Corefile": f".:53 {{\n  bind {DNS}\n  errors\n  cache 5\n"
            f"  kubernetes cluster.local {{\n    kubeconfig {self.kubeconfig}\n    ttl 5\n  }}\n}}\n",
        }
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1))
            path.chmod(0o600)
        subprocess.run(
            ["openssl", "genrsa", "-out", str(folder / "service-account.key"), "2048"], check=True, capture_output=True
        )

    def _is_ready(self) -> bool:
        done = self.try_kubectl("get", "node", NAME, "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')
        return done.returncode == 0 and done.stdout == "True"

    def _has_accounts(self) -> bool:
        return self.try_kubectl("get", "serviceaccount", "default").returncode == 0

    def make_pause_image(self) -> None:
        """The image of the process that holds a pod's namespaces, which no registry has to give."""
        context = self.folder / "pause"
        context.mkdir()
        shutil.copy2(self.programs / "pause", context / "pause")
        (context / "Dockerfile").write_text(
            'FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n'
        )
        subprocess.run(["docker", "build", "-q", "-t", _PAUSE, str(context)], check=True, capture_output=True)

    @property
    def pause_image(self) -> str:
        """Its name."""
        return _PAUSE

    # ---- processes

    def _program(self, name: str) -> str:
        return str(self.programs / name)

    def _ctr(self) -> list[str]:
        return ["ctr", "-a", f"{self.folder}/run/containerd.sock", "-n", "k8s.io"]

    def _run(
        self, program: str, *arguments: str, text: str | None = None, seconds: float
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOME": str(self.folder)}
        for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"):
            environment[name] = str(self.folder / name.lower())
        return subprocess.run(
            [self._program(program), *arguments],
            env=environment,
            input=text if text is not None else "",
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
        )

    def _spawn(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self._processes[name] = process
        self._pids[name] = process.pid
        (self.folder / "pids.json").write_text(json.dumps({"owner": os.getpid(), "pids": self._pids}))

    def _show_logs(self) -> None:
        for name, process in self._processes.items():
            state = "runs" if process.poll() is None else f"ended with {process.returncode}"
            lines = (self.folder / f"{name}.log").read_text(errors="replace").splitlines()[-12:]
            print(f"---- {name} {state}", *lines, sep="\n")

    def end(self) -> None:
        """End all of it, and leave nothing behind."""
        for name in (
            *self._beside,
            "kubelet",
            "kube-scheduler",
            "kube-controller-manager",
            "policies",
            "coredns",
            "kube-proxy",
        ):
            self._stop(name)
        if "containerd" in self._processes:
            remove_containers(self._ctr())
        for name in ("kube-apiserver", "etcd", "containerd"):
            self._stop(name)
        clean_network(self.folder, self._program("kube-proxy"))
        remove_folder(self.folder)

    def _stop(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


_CONTAINERD = """
version = 2
root = "{folder}/containerd"
state = "{folder}/run/state"
disabled_plugins = ["io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "{folder}/run/containerd.sock"
[debug]
  level = "warn"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{folder}/cni"
"""
