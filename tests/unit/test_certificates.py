"""Certificates of the local stack: kept while they last, made anew before they end, private keys private."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ta_pipeline.local.certificates import RENEWED_BEFORE, Authority, ensure_certificates
from ta_pipeline.local.components import write_private

HOSTS = ["127.0.0.1", "localhost"]


def handshake(key_store: Path, ca_file: Path, host: str) -> None:
    """A client that trusts `ca_file` talks to a server with `key_store`."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(key_store)
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        ssl.create_default_context(cafile=str(ca_file)).wrap_socket(ours, server_hostname=host).close()
    finally:
        ours.close()
        thread.join()


@pytest.mark.parametrize("host", HOSTS)
def test_a_server_is_trusted_under_each_of_its_names(tmp_path: Path, host: str) -> None:
    ca_file, key_store = tmp_path / "tls" / "ca.pem", tmp_path / "tls" / "server.pem"
    assert ensure_certificates(ca_file, key_store, "server", HOSTS)
    handshake(key_store, ca_file, host)
    with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
        handshake(key_store, ca_file, "broker.example")


def test_what_lasts_is_kept_and_what_ends_soon_is_made_anew(tmp_path: Path) -> None:
    ca_file, key_store = tmp_path / "ca.pem", tmp_path / "server.pem"
    ensure_certificates(ca_file, key_store, "server", HOSTS)
    before = key_store.read_bytes()
    assert not ensure_certificates(ca_file, key_store, "server", HOSTS)
    assert key_store.read_bytes() == before

    authority = Authority.make("authority")
    soon = datetime.now(UTC) + RENEWED_BEFORE - timedelta(hours=1)
    write_private(ca_file, authority.pem)
    write_private(key_store, authority.issue("server", HOSTS, until=soon))
    assert ensure_certificates(ca_file, key_store, "server", HOSTS)
    handshake(key_store, ca_file, HOSTS[0])


def test_an_expired_certificate_is_refused(tmp_path: Path) -> None:
    authority = Authority.make("authority")
    write_private(tmp_path / "ca.pem", authority.pem)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    write_private(tmp_path / "server.pem", authority.issue("server", HOSTS, until=yesterday))
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate has expired"):
        handshake(tmp_path / "server.pem", tmp_path / "ca.pem", HOSTS[0])


def test_the_key_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    ensure_certificates(tmp_path / "ca.pem", tmp_path / "server.pem", "server", HOSTS)
    assert stat.S_IMODE((tmp_path / "server.pem").stat().st_mode) == 0o600
    assert "PRIVATE KEY" not in (tmp_path / "ca.pem").read_text(encoding="utf-8")
