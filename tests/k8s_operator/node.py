"""One node for the cluster: containerd and runc of the distribution, and Kubernetes' own kubelet, proxy, scheduler.

    network     a bridge with one address of this machine: the node, the API server and S3 are there, pods beside it
    services    kube-proxy, in a table of nftables of its own
    names       none for pods, which need none; for the operator and the runtime see names.py
    files       under /var/lib/ta-node and /run/ta-node, which go when it ends

All of it is ended and removed with the session: pods, containers, mounts, cgroups, the bridge, the table; the kernel's
parameters are set back. What apt-get installed stays.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from ta_pipeline.local.ports import LOOPBACK, free_port
from tests.k8s.cluster import Cluster

NAME = "ta-node"
ADDRESS = "10.244.77.1"
POD_NETWORK = "10.244.77.0/24"
BRIDGE = "ta-node0"
STATE = Path("/run/ta-node")
FILES = Path("/var/lib/ta-node")
SOCKET = STATE / "containerd.sock"
PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "ctr": "containerd",
    "nft": "nftables",
    "ip": "iproute2",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
}
"""Programs, by the packages of Debian that have them."""
_CNI = Path("/usr/lib/cni")
_CGROUPS = Path("/sys/fs/cgroup")
_ROOT_OF_PODS = "ta-node"
_CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "pids")
_PARAMETERS = (
    "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxbytes", "kernel/keys/root_maxkeys",
    "vm/overcommit_memory", "vm/panic_on_oom", "net/ipv4/ip_forward", "net/ipv4/conf/all/route_localnet",
    "net/ipv4/vs/conntrack", "net/netfilter/nf_conntrack_max", "net/netfilter/nf_conntrack_tcp_be_liberal",
    "net/netfilter/nf_conntrack_tcp_timeout_established", "net/netfilter/nf_conntrack_tcp_timeout_close_wait",
)  # fmt: skip
"""That kubelet, proxy and the bridge change."""
_LOCK = Path("/run/ta-node.lock")
_BEFORE = Path("/run/ta-node.parameters")
"""As they were: a session that is killed does not set them back, and the next one does."""
READY_SECONDS = 120.0
_END_SECONDS = 60.0


def why_not() -> str:
    """Why there can be no node on this machine; empty: there can."""
    if os.geteuid() != 0:
        return "it needs root: containers, a bridge, cgroups and kernel parameters are made; run it as root"
    mounted = Path("/proc/self/mountinfo").read_text(encoding="utf-8")
    unified = (_CGROUPS / "cgroup.controllers").is_file()
    if not unified and not all((_CGROUPS / one).is_dir() for one in _CONTROLLERS):
        missing = [one for one in _CONTROLLERS if not (_CGROUPS / one).is_dir()]
        return f"cgroups are not mounted in {_CGROUPS}: neither v2, nor {', '.join(missing)} of v1"
    if f" {_CGROUPS} ro," in mounted:
        return f"{_CGROUPS} is mounted read-only: this is a container that may make none"
    if "overlay" not in Path("/proc/filesystems").read_text(encoding="utf-8"):
        return "the kernel has no overlay file system"
    return ""


def ensure_packages() -> list[str]:
    """Install what is missing, with apt-get; returns what was.

    Raises:
        RuntimeError: there is no apt-get, or it failed.
    """
    missing = sorted({package for program, package in PACKAGES.items() if not _is_there(program)})
    if not missing:
        return []
    if shutil.which("apt-get") is None:
        raise RuntimeError(f"these packages of Debian are needed, and there is no apt-get: {', '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update"], ["apt-get", "install", "--yes", "--no-install-recommends", *missing]):
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=900)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2_000:]}")
    return missing


@dataclass
class Node:
    """A node of a cluster.

    Attributes:
        cluster: its API server listens at `ADDRESS`.
        api: asks it as an administrator: method, path, content, kind of the content.
        pause_image: its name.
    """

    cluster: Cluster
    api: Callable[..., Any]
    pause_image: str
    _parameters: dict[Path, str] = field(default_factory=dict)

    @contextlib.contextmanager
    def started(self, archives: Sequence[Path]) -> Iterator[None]:
        """The node, ready for pods of the images in these archives, for as long as this lasts."""
        try:
            self._containerd()
            for archive in archives:
                _run("ctr", "--address", str(SOCKET), "--namespace", "k8s.io", "images", "import", str(archive))
            self._control()
            self._kubelet()
            self._proxy()
            self._await_ready()
            yield
        finally:
            self._end()

    def logs(self) -> Path:
        """Of the pods' containers."""
        return self.cluster.directory / "pods"

    def _containerd(self) -> None:
        cni = FILES / "cni"
        cni.mkdir(parents=True, exist_ok=True)
        network = {
            "cniVersion": "0.4.0", "name": NAME,
            "plugins": [{
                "type": "bridge", "bridge": BRIDGE, "isGateway": True, "hairpinMode": True,
                "ipam": {
                    "type": "host-local", "dataDir": str(FILES / "addresses"),
                    "ranges": [[{"subnet": POD_NETWORK, "rangeStart": ADDRESS.replace("77.1", "77.10")}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }],
        }  # fmt: skip
        (cni / "10-ta.conflist").write_text(json.dumps(network), encoding="utf-8")
        (FILES / "containerd.toml").write_text(_CONTAINERD.format(
            root=FILES / "containerd", state=STATE / "containerd", socket=SOCKET, pause=self.pause_image,
            plugins=_CNI, cni=cni,
        ), encoding="utf-8")  # fmt: skip
        self.cluster.spawn("containerd", "--config", str(FILES / "containerd.toml"))
        _await("containerd answers", 30, lambda: _answers("ctr", "--address", str(SOCKET), "version"), self.cluster)

    def _control(self) -> None:
        kubeconfig = str(self.cluster.kubeconfig())
        files = self.cluster.directory
        self.cluster.spawn(
            "kube-controller-manager", f"--kubeconfig={kubeconfig}", f"--root-ca-file={files / 'ca.pem'}",
            f"--service-account-private-key-file={files / 'accounts.pem'}", "--leader-elect=false", "--secure-port=0",
        )  # fmt: skip
        self.cluster.spawn(
            "kube-scheduler", f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0",
        )  # fmt: skip

    def _kubelet(self) -> None:
        if (_CGROUPS / "cgroup.controllers").is_file():
            (_CGROUPS / "cgroup.subtree_control").write_text("+cpuset +cpu +io +memory +pids", encoding="ascii")
        for path in _cgroups():
            path.mkdir(exist_ok=True)
            if path.parent.name == "cpuset":
                for name in ("cpuset.cpus", "cpuset.mems"):
                    (path / name).write_text((path.parent / name).read_text(encoding="ascii"), encoding="ascii")
        content = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": False}},
            "authorization": {"mode": "AlwaysAllow"},
            # Nobody asks it: the pods' logs are files here.
            "enableServer": False,
            "healthzPort": 0,
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{_ROOT_OF_PODS}",
            "podLogsDir": str(self.logs()),
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "makeIPTablesUtilChains": False,
            "localStorageCapacityIsolation": False,
            # The disk of this machine is not the node's to judge.
            "evictionHard": {"memory.available": "0%", "nodefs.available": "0%", "imagefs.available": "0%"},
            "imageGCHighThresholdPercent": 100,
            "volumePluginDir": str(FILES / "volume-plugins"),
        }
        (FILES / "kubelet.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        self.cluster.spawn(
            "kubelet", f"--config={FILES / 'kubelet.yaml'}", f"--kubeconfig={self.cluster.kubeconfig()}",
            f"--root-dir={FILES / 'kubelet'}", f"--cert-dir={FILES / 'kubelet'}", f"--hostname-override={NAME}",
            f"--node-ip={ADDRESS}",
        )  # fmt: skip

    def _proxy(self) -> None:
        content = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clientConnection": {"kubeconfig": str(self.cluster.kubeconfig())},
            "clusterCIDR": POD_NETWORK,
            "hostnameOverride": NAME,
            "healthzBindAddress": "",
            "metricsBindAddress": f"{LOOPBACK}:{free_port()}",
            "conntrack": {"maxPerCore": 0, "min": 0},
        }
        (FILES / "proxy.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
        self.cluster.spawn("kube-proxy", f"--config={FILES / 'proxy.yaml'}")

    def _await_ready(self) -> None:
        def is_ready() -> bool:
            nodes = self.api("GET", "/api/v1/nodes")["items"]
            conditions = [one for node in nodes for one in node["status"].get("conditions", [])]
            return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

        _await("the node is ready", READY_SECONDS, is_ready, self.cluster)

    def _end(self) -> None:
        # Nobody makes new ones from here on but a JobManager: so it goes on until none is left.
        self.cluster.end("kube-controller-manager")
        with contextlib.suppress(Exception):
            _await("no pod is left", _END_SECONDS, self._delete_pods, self.cluster)
        for name in ("kubelet", "kube-proxy", "kube-scheduler"):
            self.cluster.end(name)
        self.cluster.end("containerd")
        # Each container has a parent that outlives containerd.
        _end_processes(self.cluster.directory / "containerd")

    def _delete_pods(self) -> bool:
        pods = self.api("GET", "/api/v1/pods")["items"]
        for pod in pods:
            name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
            with contextlib.suppress(Exception):
                self.api("DELETE", f"/api/v1/namespaces/{namespace}/pods/{name}", {"gracePeriodSeconds": 1})
        return not pods


@contextlib.contextmanager
def bridge(cluster_directory: Path) -> Iterator[None]:
    """The machine's address on a bridge, and the kernel's parameters as they were when this ends.

    What a session that was killed has left is removed first.

    Args:
        cluster_directory: of the session's cluster: what runs with files in it is the session's.

    Raises:
        RuntimeError: another session has the address.
    """
    with _LOCK.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RuntimeError(f"another session has {ADDRESS}: wait until it has ended ({_LOCK})") from None
        _end_processes(cluster_directory)
        _remove()
        if not _BEFORE.exists():
            before = {str(path): path.read_text(encoding="ascii") for path in _parameters()}
            _BEFORE.write_text(json.dumps(before), encoding="utf-8")
        for folder in (STATE, FILES):
            folder.mkdir(mode=0o711)
        try:
            _run("ip", "link", "add", BRIDGE, "type", "bridge")
            _run("ip", "address", "add", f"{ADDRESS}/{POD_NETWORK.partition('/')[2]}", "dev", BRIDGE)
            _run("ip", "link", "set", BRIDGE, "up")
            yield
        finally:
            _remove()
            for name, value in json.loads(_BEFORE.read_text(encoding="utf-8")).items():
                if Path(name).read_text(encoding="ascii") != value:
                    Path(name).write_text(value, encoding="ascii")
            _BEFORE.unlink()


def left_behind() -> list[str]:
    """What of a node is still on this machine; empty when it has gone as a whole."""
    found = [str(path) for path in (STATE, FILES, _BEFORE) if path.exists()]
    found += [line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
              if _is_ours(line.split()[4])]  # fmt: skip
    found += [str(path) for path in _CGROUPS.glob(f"*/{_ROOT_OF_PODS}")]
    links = json.loads(_run("ip", "-json", "link", "show"))
    found += [one["ifname"] for one in links if one["ifname"] == BRIDGE or one.get("master") == BRIDGE]
    tables = json.loads(_run("nft", "-j", "list", "tables"))["nftables"]
    found += [f"table {one['table']['name']}" for one in tables if one.get("table", {}).get("name") == "kube-proxy"]
    found += [f"{one.info['name']} ({one.pid})" for one in psutil.process_iter(["name", "cmdline"])
              if str(SOCKET) in (one.info["cmdline"] or [])]  # fmt: skip
    return found


def _parameters() -> list[Path]:
    return [path for name in _PARAMETERS if (path := Path("/proc/sys", name)).exists()]


def _cgroups() -> list[Path]:
    if (_CGROUPS / "cgroup.controllers").is_file():
        return [_CGROUPS / _ROOT_OF_PODS]
    return [path / _ROOT_OF_PODS for path in _CGROUPS.iterdir() if path.is_dir()]


def _remove() -> None:
    """All of a node that has ended; what is not there is fine."""
    _unmount()
    for path in _cgroups():
        _remove_cgroup(path)
    for link in json.loads(_run("ip", "-json", "link", "show")):
        if link.get("master") == BRIDGE or link["ifname"] == BRIDGE:
            subprocess.run(["ip", "link", "delete", link["ifname"]], check=False, capture_output=True)
    for family in ("ip", "ip6"):
        subprocess.run(["nft", "delete", "table", family, "kube-proxy"], check=False, capture_output=True)
    for folder in (STATE, FILES):
        shutil.rmtree(folder, ignore_errors=True)


def _end_processes(cluster_directory: Path) -> None:
    """Those of a session that was killed, with what is in their containers: their files are this node's, or its."""
    folders = (f"{STATE}/", f"{FILES}/", f"{cluster_directory}/")
    for one in psutil.process_iter(["cmdline", "terminal"]):
        # Somebody who reads a log is let go on.
        if one.info["terminal"] is None and any(
            folder in word for word in one.info["cmdline"] or [] for folder in folders
        ):
            with contextlib.suppress(psutil.NoSuchProcess):
                for process in [*one.children(recursive=True), one]:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()


def _is_there(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else shutil.which(program) is not None


def _is_ours(place: str) -> bool:
    return any(Path(place).is_relative_to(folder) for folder in (STATE, FILES)) or "/cni-" in place


def _unmount() -> None:
    places = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]
    for place in sorted((one for one in places if _is_ours(one)), key=len, reverse=True):
        subprocess.run(["umount", "--lazy", place], check=False, capture_output=True)


def _remove_cgroup(path: Path) -> None:
    if path.is_dir():
        for inside in sorted((one for one in path.rglob("*") if one.is_dir()), key=lambda one: -len(one.parts)):
            with contextlib.suppress(OSError):
                inside.rmdir()
        with contextlib.suppress(OSError):
            path.rmdir()


def _await(what: str, seconds: float, is_so: Callable[[], bool], cluster: Cluster) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        cluster.require_running()
        if time.monotonic() > deadline:
            raise RuntimeError(f"not after {seconds:g} s: {what}; the logs are in {cluster.directory}")
        time.sleep(0.5)


def _answers(*command: str) -> bool:
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


def _run(*command: str, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=600)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.strip()[-1_000:]}")
    return done.stdout


_CONTAINERD = """\
version = 2
root = "{root}"
state = "{state}"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  # A process may not be given a lower score than this one has without CAP_SYS_RESOURCE.
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{plugins}"
    conf_dir = "{cni}"
"""
