"""How a person is told: a webhook when there is one, and always the log.

A webhook that fails never breaks what calls it: the alert stays in the outbox and is sent again at the next tick.
Delivery is at least once; `id` and `kind` tell a repetition.
"""

from __future__ import annotations

import logging
import time

import requests

from ta_pipeline.errors import MonitoringError
from ta_pipeline.monitoring.incidents import Alert, IncidentState
from ta_pipeline.settings import Settings

TIMEOUT_SECONDS = 2.0
ATTEMPTS = 2
"""In one tick; the next tick is the next attempt."""
PAUSE_SECONDS = 0.2
_log = logging.getLogger("ta.alerts")


class Webhook:
    """Posts alerts as JSON to `TA_ALERT_WEBHOOK_URL`, which is a secret: whoever knows it can post."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.alert_webhook_url.get_secret_value()
        self._deployment = settings.k8s_deployment

    @property
    def is_on(self) -> bool:
        """Whether there is one."""
        return bool(self._url)

    def deliver(self, alert: Alert) -> None:
        """Post one alert.

        Raises:
            MonitoringError: it was not taken; the message does not have the URL.
        """
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(PAUSE_SECONDS)
            try:
                answer = requests.post(self._url, json=alert.to_dict(self._deployment), timeout=TIMEOUT_SECONDS)
            except requests.RequestException as error:
                # Not its text: the URL is in it.
                reason = type(error).__name__
                continue
            if answer.ok:
                return
            reason = f"status {answer.status_code}"
            if answer.status_code < 500 and answer.status_code not in {408, 429}:
                break
        raise MonitoringError(
            f"the webhook (TA_ALERT_WEBHOOK_URL) did not take alert {alert.id} {alert.kind}: {reason}; it is sent "
            "again at the next tick"
        )


def tell(state: IncidentState, alerts: list[Alert], webhook: Webhook, log: logging.Logger = _log) -> IncidentState:
    """Log what is new, send what waits; returns the state without what was delivered. Never raises.

    Args:
        state: with the outbox.
        alerts: those of this tick.
        webhook: where to.
        log: alerts are logged there, and a webhook that fails.
    """
    for alert in alerts:
        log.log(logging.INFO if alert.kind == "resolved" else logging.ERROR, "%s: %s", alert.kind, alert.text)
    if not webhook.is_on:
        return state.without(state.outbox)
    delivered = []
    for alert in state.outbox:
        try:
            webhook.deliver(alert)
        except MonitoringError as error:
            # In their order, or "resolved" might come before "opened"; and one attempt at a dead one is enough.
            log.warning("%s", error)
            break
        delivered.append(alert)
    return state.without(delivered)
