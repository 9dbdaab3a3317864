"""A Kubernetes without nodes: a real etcd and a real kube-apiserver, RBAC on, everything on loopback.

What asks, what is stored, what is allowed and who owns which field is as on any cluster. Nothing is scheduled: there is
no controller and no kubelet, so who makes pods and statuses here is the test. tests/k8s_operator adds a node.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from kubernetes import client as official
from kubernetes import config as official_config

from ta_pipeline.local.certificates import Authority
from ta_pipeline.local.components import write_private
from ta_pipeline.local.ports import LOOPBACK, free_port
from tests.k8s.binaries import ensure_binaries

READY_SECONDS = 90.0
SERVICE_ADDRESS = "10.96.0.1"
"""Of the API server, for pods: the first of the range."""
_ADMIN = "admin"
_WITHOUT_NODES = (
    "--endpoint-reconciler-type=none",
    # No controller makes the account that every namespace has.
    "--disable-admission-plugins=ServiceAccount",
)


@dataclass
class Cluster:
    """A running API server with its store.

    Attributes:
        directory: everything of it.
        binaries: programs by name.
        address: of the API server.
        has_nodes: pods get here: accounts and the service of the API server are made as on any cluster.
        port: of the API server.
    """

    directory: Path
    binaries: dict[str, Path]
    address: str = LOOPBACK
    has_nodes: bool = False
    port: int = field(default_factory=free_port)
    _store_port: int = field(default_factory=free_port)
    _peer_port: int = field(default_factory=free_port)
    _token: str = field(default_factory=lambda: secrets.token_hex(16))
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self) -> None:
        """Start both, and return when the API server is ready."""
        self._write_files()
        self._start_store()
        self.start_api_server()

    def start_api_server(self) -> None:
        """Start the API server, and return when it is ready."""
        files = self.directory
        self.spawn(
            "kube-apiserver",
            f"--etcd-servers=http://{LOOPBACK}:{self._store_port}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.port}",
            f"--tls-cert-file={files / 'server.pem'}",
            f"--tls-private-key-file={files / 'server.pem'}",
            f"--token-auth-file={files / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--anonymous-auth=false",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={files / 'accounts.pem'}",
            f"--service-account-key-file={files / 'accounts.pem'}",
            "--service-cluster-ip-range=10.96.0.0/24",
            # Off by default, on in some clusters: an object may not name just any owner that waits for its end.
            "--enable-admission-plugins=OwnerReferencesPermissionEnforcement",
            *(() if self.has_nodes else _WITHOUT_NODES),
        )
        self._await_ready()

    def stop_api_server(self) -> None:
        """End the API server; what it has stored stays."""
        self.end("kube-apiserver")

    def stop(self) -> None:
        """End both, and whatever else was started and not ended, the newest first."""
        for name in reversed(list(self._running)):
            self.end(name)

    def kubeconfig(self, token: str = "", namespace: str = "default") -> Path:
        """A kubeconfig with a token; default: the administrator's."""
        token = token or self._token
        path = self.directory / f"kubeconfig-{secrets.token_hex(4)}"
        authority = str(self.directory / "ca.pem")
        server = {"server": f"https://{self.address}:{self.port}", "certificate-authority": authority}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": server}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        }  # fmt: skip
        write_private(path, yaml.safe_dump(content))
        return path

    def administrator(self) -> Any:
        """The official client as the administrator."""
        configuration = official.Configuration()
        official_config.load_kube_config(str(self.kubeconfig()), client_configuration=configuration)
        configuration.retries = False
        return official.ApiClient(configuration)

    def log(self, name: str) -> str:
        """The end of what a program has logged."""
        return (self.directory / f"{name}.log").read_text(encoding="utf-8", errors="replace")[-4_000:]

    def _write_files(self) -> None:
        authority = Authority.make("tests")
        (self.directory / "ca.pem").write_text(authority.pem, encoding="utf-8")
        write_private(self.directory / "server.pem", authority.issue("kube-apiserver", [self.address, SERVICE_ADDRESS]))
        write_private(self.directory / "tokens.csv", f'{self._token},{_ADMIN},{_ADMIN},"system:masters"\n')
        key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        write_private(self.directory / "accounts.pem", pem)

    def _start_store(self) -> None:
        own, peers = f"http://{LOOPBACK}:{self._store_port}", f"http://{LOOPBACK}:{self._peer_port}"
        self.spawn(
            "etcd",
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={own}",
            f"--advertise-client-urls={own}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            # Of a test nothing has to survive the machine.
            "--unsafe-no-fsync",
        )

    def spawn(self, name: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        """Start one of the programs, with variables on top of this process's; what it says goes to its log."""
        with (self.directory / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(self.binaries[name]), *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                cwd=self.directory, start_new_session=True, env={**os.environ, **(environment or {})},
            )  # fmt: skip

    def require_running(self) -> None:
        """Fail, with the end of its log, when a program has ended."""
        for name, process in self._running.items():
            if process.poll() is not None:
                raise RuntimeError(f"{name} ended with {process.returncode}:\n{self.log(name)}")

    def end(self, name: str) -> None:
        """End a program; one that does not run is fine."""
        process = self._running.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _await_ready(self) -> None:
        client, deadline = self.administrator(), time.monotonic() + READY_SECONDS
        while True:
            # Whatever it does not answer yet.
            with contextlib.suppress(Exception):
                client.rest_client.request(
                    "GET", f"{client.configuration.host}/readyz", headers={"authorization": f"Bearer {self._token}"},
                    _request_timeout=5,
                )  # fmt: skip
                return
            self.require_running()
            if time.monotonic() > deadline:
                raise RuntimeError(f"the API server is not ready:\n{self.log('kube-apiserver')}")
            time.sleep(0.3)


@contextlib.contextmanager
def running_cluster(
    directory: Path, *, address: str = LOOPBACK, more: Mapping[str, Path] | None = None
) -> Iterator[Cluster]:
    """The cluster of a test session, empty; one session at a time has it, and its logs stay until the next.

    Args:
        directory: everything of it.
        address: of the API server; another one than loopback: pods get here.
        more: programs that are started later.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        binaries = {**ensure_binaries(), **(more or {})}
        cluster = Cluster(directory, binaries, address, has_nodes=address != LOOPBACK)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()
