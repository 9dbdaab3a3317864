"""A client of Prometheus' HTTP API: ranges of expressions, names that were seen, targets.

Definition: the page "HTTP API" of Prometheus' documentation, version v1. Mimir and Thanos answer the same way, below a
path of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests

from ta_pipeline.errors import PrometheusError, PrometheusNoAnswerError
from ta_pipeline.metrics.span import Span

TIMEOUT_SECONDS = 30.0


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
    """

    def __init__(self, url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self.url = url.rstrip("/")
        self._timeout_seconds = timeout_seconds

    @property
    def place(self) -> str:
        """The URL without user and password: what a person is shown."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))

    def range(self, expression: str, span: Span) -> list[Series]:
        """The values of `expression` over `span`, a line for each combination of labels."""
        asked = {"query": expression, "start": span.start, "end": span.end, "step": span.step}
        found = self._get("query_range", asked)
        return [_series(one) for one in found["result"]]

    def names(self, span: Span) -> set[str]:
        """The metrics that were scraped at any time of `span`."""
        return set(self._get("label/__name__/values", {"start": span.start, "end": span.end}))

    def targets(self) -> list[Target]:
        """What is scraped now; empty where the API does not know (Mimir)."""
        found = self._get("targets", {"state": "active"}, absent={"activeTargets": []})
        return [
            Target(one["labels"].get("job", ""), one["scrapeUrl"], one.get("lastError", ""))
            for one in found["activeTargets"]
        ]

    def _get(self, path: str, asked: Mapping[str, Any], absent: Any = None) -> Any:
        """The data of an answer; `absent` where there is no such path."""
        try:
            answer = requests.get(f"{self.url}/api/v1/{path}", params=asked, timeout=self._timeout_seconds)
        except requests.Timeout:
            raise PrometheusNoAnswerError(f"{self.place} did not answer within {self._timeout_seconds:g} s") from None
        except (requests.RequestException, ValueError) as error:
            raise PrometheusNoAnswerError(
                f"Prometheus at {self.place} cannot be reached ({_reason(error)}): start one beside the local stack "
                "with `ta prometheus`, or give the URL of another with --url"
            ) from None
        if absent is not None and answer.status_code == requests.codes.not_found:
            return absent
        try:
            told = answer.json()
            if told["status"] == "success":
                return told["data"]
            why = f"{told['errorType']}: {told['error']}"
        except (ValueError, KeyError, TypeError):
            raise PrometheusError(
                f"what answers at {self.place}/api/v1/{path} (status {answer.status_code}) is not Prometheus: --url "
                "takes what stands before /api/v1"
            ) from None
        raise PrometheusError(f"{self.place} refused {dict(asked)}: {why}")


def _series(told: Mapping[str, Any]) -> Series:
    return Series(dict(told["metric"]), tuple((float(at), float(value)) for at, value in told["values"]))


def _reason(error: Exception) -> str:
    """The innermost cause in a few words: what requests says holds the URL, and a password in it."""
    while (inner := error.__cause__ or error.__context__) is not None and isinstance(inner, Exception):
        error = inner
    return str(error.strerror) if isinstance(error, OSError) and error.strerror else type(error).__name__
