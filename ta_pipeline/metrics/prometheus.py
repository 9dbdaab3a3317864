"""A client of Prometheus' HTTP API: ranges of expressions, names that were seen, targets.

Definition: the page "HTTP API" of Prometheus' documentation, version v1. Mimir and Thanos answer the same way, below a
path of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import requests

from ta_pipeline.errors import PrometheusError, PrometheusNoAnswerError
from ta_pipeline.metrics.span import Span
from ta_pipeline.urls import LOGIN, without_login

T = TypeVar("T")
TIMEOUT_SECONDS = 30.0
_SHOWN = 80
_BEYOND_THE_PATH = re.compile(r"[?#].*", re.DOTALL)
_ALLOWED = (
    "--url takes http:// or https://, a host, and the path before /api/v1, if there is one; user and password may "
    "stand before the host"
)


@dataclass(frozen=True)
class Series:
    """One line of an answer.

    Attributes:
        labels: what tells it from the others.
        points: (epoch seconds, value) in their order; where nothing was known there is no point. Values may be NaN.
    """

    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Target:
    """What Prometheus scrapes.

    Attributes:
        job: the name of its scrape job.
        url: where.
        error: why the newest scrape failed; empty: it did not.
    """

    job: str
    url: str
    error: str


class Prometheus:
    """The API at `url`.

    Every method raises `PrometheusError`; `PrometheusNoAnswerError`: nothing was heard.

    Raises:
        PrometheusError: the URL has what cannot stand before /api/v1, or a login that is not written as it should be.
    """

    def __init__(self, url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.url = url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        login = LOGIN.match(self.url)
        if login is not None and re.search(r"[/?#]", login[0].removeprefix(login[1] or "")):
            raise PrometheusError(
                f"--url {self.place} is not allowed, with what stands before its last @: in a user, a password or a "
                "path write / as %2F, ? as %3F, # as %23, @ as %40"
            )
        if _BEYOND_THE_PATH.search(self.url):
            raise PrometheusError(f"--url {self.place} is not allowed, with ? or # and what follows it: {_ALLOWED}")

    @property
    def place(self) -> str:
        """The URL without user, password, query and fragment: what a person is shown. It need not be a right one."""
        return _BEYOND_THE_PATH.sub("", without_login(self.url))

    def range(self, expression: str, span: Span) -> list[Series]:
        """The values of `expression` over `span`, a line for each combination of labels."""
        asked = {"query": expression, "start": span.start, "end": span.end, "step": span.step}
        return self._read("query_range", asked, lambda found: [_series(one) for one in found["result"]])

    def names(self, span: Span) -> set[str]:
        """The metrics that were scraped at any time of `span`."""
        return self._read("label/__name__/values", {"start": span.start, "end": span.end}, set[str])

    def targets(self) -> list[Target]:
        """What is scraped now. What does not scrape itself (Mimir) refuses to say."""
        return self._read(
            "targets", {"state": "active"}, lambda found: [_target(one) for one in found["activeTargets"]]
        )

    def _read(self, path: str, asked: Mapping[str, Any], made_of: Callable[[Any], T]) -> T:
        """What is made of an answer's data."""
        data = self._get(path, asked)
        try:
            return made_of(data)
        except (LookupError, TypeError, ValueError, AttributeError):
            told = json.dumps(data)
            raise PrometheusError(
                f"what answers at {self.place}/api/v1/{path} says success, but its data is not what Prometheus' is: "
                f"{told[:_SHOWN]}{'…' if len(told) > _SHOWN else ''}; give the URL of Prometheus, or of Mimir or "
                "Thanos, with --url"
            ) from None

    def _get(self, path: str, asked: Mapping[str, Any]) -> Any:
        """The data of an answer."""
        try:
            answer = requests.get(f"{self.url}/api/v1/{path}", params=asked, timeout=self._timeout_seconds)
        except requests.Timeout:
            raise PrometheusNoAnswerError(f"{self.place} did not answer within {self._timeout_seconds:g} s") from None
        except ValueError as error:
            raise PrometheusNoAnswerError(
                f"Prometheus at {self.place} cannot be reached, as this is no URL ({type(error).__name__}): {_ALLOWED}"
            ) from None
        except requests.RequestException as error:
            raise PrometheusNoAnswerError(
                f"Prometheus at {self.place} cannot be reached ({_reason(error)}): start one beside the local stack "
                "with `ta prometheus`, or give the URL of another with --url"
            ) from None
        try:
            told = answer.json()
            if told["status"] == "success":
                return told["data"]
            why = f"{told['errorType']}: {told['error']}"
        except (ValueError, KeyError, TypeError):
            raise PrometheusError(
                f"what answers at {self.place}/api/v1/{path} (status {answer.status_code}) is not Prometheus, or not "
                "for this question: --url takes what stands before /api/v1"
            ) from None
        raise PrometheusError(f"{self.place} refused {dict(asked)}: {why}")


def _series(told: Mapping[str, Any]) -> Series:
    return Series(dict(told["metric"]), tuple((float(at), float(value)) for at, value in told["values"]))


def _target(told: Mapping[str, Any]) -> Target:
    return Target(told["labels"].get("job", ""), told["scrapeUrl"], told.get("lastError", ""))


def _reason(error: Exception) -> str:
    """The innermost cause in a few words: what requests says holds the URL, and a password in it."""
    while (inner := error.__cause__ or error.__context__) is not None and isinstance(inner, Exception):
        error = inner
    return str(error.strerror) if isinstance(error, OSError) and error.strerror else type(error).__name__
