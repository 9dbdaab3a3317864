"""One FlinkDeployment on the API server: read, changed, waited for, and asked why it is not as it should be."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ta_pipeline.errors import ForbiddenError, KubernetesError, KubernetesNoAnswerError, NoAnswerError
from ta_pipeline.kubernetes.client import EVENT, FLINK_DEPLOYMENT, POD, KubernetesApi
from ta_pipeline.kubernetes.ownership import changed, ours
from ta_pipeline.kubernetes.pods import RECENT, pod_problems, recent_events
from ta_pipeline.kubernetes.status import OperatorView, parse_deployment
from ta_pipeline.runtime import Report

Progress = Callable[[], str | None]
"""What is still to come, in words; None: nothing. It raises `KubernetesError` when it will not come."""


class FlinkResource:
    """A FlinkDeployment by its name. Every method raises `KubernetesError`.

    Args:
        api: of its namespace.
        name: of it.
        poll_seconds: how often it is looked at while something is waited for.
    """

    def __init__(self, api: KubernetesApi, name: str, poll_seconds: float) -> None:
        self.api = api
        self.name = name
        self._poll_seconds = poll_seconds

    def __str__(self) -> str:
        return f"FlinkDeployment {self.api.namespace}/{self.name}"

    def found(self) -> dict[str, Any] | None:
        """The object; None when it is not there."""
        return self.api.get(FLINK_DEPLOYMENT, self.name)

    def view(self) -> OperatorView | None:
        """What it says; None when it is not there."""
        found = self.found()
        return None if found is None else parse_deployment(found)

    def existing(self) -> OperatorView:
        """What it says; that it is not there is an error."""
        if (view := self.view()) is None:
            raise KubernetesError(f"there is no {self}; a rollout makes it")
        return view

    def apply(self, content: Mapping[str, Any], *, dry_run: bool = False) -> None:
        """Apply it as a whole."""
        self.api.apply(FLINK_DEPLOYMENT, content, dry_run=dry_run)

    def change(self, job: Mapping[str, Any]) -> None:
        """Apply what is ours of it anew, with other fields of its job."""
        found = self.found()
        if found is None:
            raise KubernetesError(f"{self} is gone: somebody has deleted it")
        self.api.apply(FLINK_DEPLOYMENT, changed(ours(found), job))

    def delete(self, seconds: float) -> None:
        """Delete it, and wait until the operator has let go of it; one that is gone is fine."""
        self.api.delete(FLINK_DEPLOYMENT, self.name)
        self.wait(lambda: None if self.found() is None else "the operator has not let go of it: does it run?", seconds)

    def wait(self, progress: Progress, seconds: float, report: Report = lambda _text: None) -> None:
        """Return when nothing is left to come; what does not answer, or refuses, meanwhile may do so in time.

        Raises:
            KubernetesError: it did not come in time.
            KubernetesNoAnswerError: it did not, and at the end nobody answered.
        """
        deadline, told = time.monotonic() + seconds, ""
        while True:
            is_late = time.monotonic() > deadline
            try:
                text, is_silent = progress(), False
            except (NoAnswerError, ForbiddenError) as error:
                text, is_silent = str(error), True
            if text is None:
                return
            if is_late:
                kind = KubernetesNoAnswerError if is_silent else KubernetesError
                raise kind(f"{self}, after {seconds:g} s: {text}")
            if text != told:
                report(text)
                told = text
            time.sleep(self._poll_seconds)

    def broken(self) -> list[str]:
        """What keeps those of its pods from running that nobody is taking down."""
        found = self.api.find(POD, labels=f"app={self.name}")
        return pod_problems(pod for pod in found if "deletionTimestamp" not in pod["metadata"])

    def problems(self) -> list[str]:
        """What keeps its pods from running; that they cannot be read is said, too."""
        try:
            return pod_problems(self.api.find(POD, labels=f"app={self.name}"))
        except KubernetesError as error:
            return [f"its pods are not known: {error}"]

    def reasons(self) -> list[str]:
        """What its pods and the events of the last hour say."""
        return [*self.problems(), *self.events(self.name)]

    def events(self, name: str, since: datetime | None = None) -> list[str]:
        """Warnings about an object of this namespace, and what was made for it; default: of the last hour."""
        try:
            events = self.api.find(EVENT, fields="type=Warning")
        except KubernetesError as error:
            return [f"its events are not known: {error}"]
        return recent_events(events, name, since or datetime.now(UTC) - RECENT)

    def warnings_of(self, text: str) -> frozenset[tuple[str, str]]:
        """The operator's warnings about it that have this text: each by its uid and its version.

        One that is given again has another version; so what is new is found without a clock.
        """
        fields = f"type=Warning,involvedObject.kind={FLINK_DEPLOYMENT.name},involvedObject.name={self.name}"
        return frozenset(
            (event["metadata"]["uid"], event["metadata"]["resourceVersion"])
            for event in self.api.find(EVENT, fields=fields)
            if text in (event.get("message") or "")
        )
