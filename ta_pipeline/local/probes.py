"""Small questions to a starting component; the answer is silence or `NotReadyError`."""

from __future__ import annotations

import socket

import requests

from ta_pipeline.local.components import NotReadyError
from ta_pipeline.local.ports import LOOPBACK

TIMEOUT_SECONDS = 2.0


def listens(port: int) -> None:
    """Whether something accepts connections at `port`.

    Raises:
        NotReadyError: nothing does.
    """
    try:
        socket.create_connection((LOOPBACK, port), timeout=TIMEOUT_SECONDS).close()
    except OSError as error:
        raise NotReadyError(f"port {port}: {error.strerror or error}") from None


def answers(url: str, *, any_status: bool = False, login: tuple[str, str] | None = None) -> requests.Response:
    """GET `url` and return the answer; `any_status` takes errors of the server as an answer too.

    `login` is a user and its password.

    Raises:
        NotReadyError: no answer, or not a good one.
    """
    try:
        response = requests.get(url, timeout=TIMEOUT_SECONDS, auth=login)
    except requests.RequestException as error:
        raise NotReadyError(f"{url}: {type(error).__name__}") from None
    if not any_status and not response.ok:
        raise NotReadyError(f"{url}: status {response.status_code}")
    return response
