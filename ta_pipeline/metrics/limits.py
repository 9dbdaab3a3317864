"""From which number on something is wrong: the same for monitoring's verdicts, the rules and the dashboard; pure.

What depends on settings, or on how many records come, the probe tells Prometheus (`ta_limit_seconds`), so that a rule
holds for every deployment. The defaults stand in where the probe is away.
"""

from __future__ import annotations

from collections.abc import Mapping

from ta_pipeline.settings import Settings

LIVE_P99_MS = 500
"""The promise is 300 ms; a person is called when it is clearly broken."""
FINAL_BUDGET_MS = 500
"""Of the promise: beside the watermark's delay and the checkpoint interval."""
WINDOW_MS = 1_000
"""The newest tick of a second may be a whole second older than its end."""
LAG_BUDGET_MS = 1_000
"""The watermark's lag beyond what is allowed by the out-of-orderness."""
BEAT_MARGIN_MS = 10_000
"""A heartbeat is due every checkpoint interval; twice that and this is too long."""
CHECKPOINT_MARGIN_MS = 3_000
"""Flink answers from a picture of the job that is up to this old (`web.refresh-interval`)."""
CHECKPOINT_STARTING_MS = 20_000
"""Until the tasks of a job that was just submitted run. Twice the interval, this and a tick of 30 s are within the time
in which a stalled checkpoint has to be told: twice the interval and a minute."""
OPEN_MARGIN_MS = 10_000
"""A transaction lives for a checkpoint interval, the checkpoint, and its commit; twice the interval and this is not
that any more."""
RESTARTS, RESTARTS_WITHIN_MS = 3, 600_000
"""One restart is what restarts are for; more than three in ten minutes are a fault that comes back."""
COMMITS_WITHIN_MS = 300_000
BACKPRESSURE_WARN, BACKPRESSURE_BAD = 0.5, 0.8
"""Share of the time a task waits for the next one. At a half the job is near its limit; at 0.8 it falls behind."""
SILENT_WARN_MS, SILENT_BAD_MS = 60_000, 300_000
"""Before the regular session a few symbols may be silent for minutes."""
FLOWING_MS = 60_000
"""Trades come, when the newest one is not older than this."""
DENSE_PER_SECOND = 10
"""With so many records a second on each topic that has some, the newest is almost never older than half a second, so
the watermark is the out-of-orderness behind, and no more; with fewer, the platform's clock closes bars."""
GAP_SHARE, GAPS = 0.01, 3
"""A cancel that takes the only volume of a second looks like a gap: single ones are no fault."""
REJECT_SHARE = 0.01
"""Of the records that come: a record or two of a new kind are for a look at the topic, not for a call."""
PROBE_GONE_MS = 60_000
"""The probe goes round four times a second."""
DAGSTER_SILENT_MS = 150_000
"""The sensor ticks every 30 s, and its daemon may be busy."""


def closing_delay_ms(settings: Settings, trades_per_second: float | None, quotes_per_second: float = 0.0) -> int:
    """How far the watermark may be behind: the out-of-orderness, or, in a thin market, the time until a bar closes.

    Args:
        settings: of the job.
        trades_per_second: that come; None: not known.
        quotes_per_second: that come; 0: there are none.
    """
    if trades_per_second is None:
        return settings.bar_close_timeout_ms
    rates = [trades_per_second, *([quotes_per_second] if quotes_per_second else [])]
    return settings.max_out_of_orderness_ms if min(rates) >= DENSE_PER_SECOND else settings.bar_close_timeout_ms


def checkpoint_age_ms(interval_ms: int) -> int:
    """Of the newest completed checkpoint."""
    return 2 * interval_ms + CHECKPOINT_MARGIN_MS


def final_latency_ms(closing_ms: int, interval_ms: int) -> int:
    """From an event to its committed signal."""
    return WINDOW_MS + closing_ms + interval_ms + FINAL_BUDGET_MS


def watermark_lag_ms(closing_ms: int) -> int:
    """Of the job's watermark."""
    return closing_ms + LAG_BUDGET_MS


def open_transaction_ms(interval_ms: int) -> int:
    """A transaction of the job that is open for longer is not that of a checkpoint any more."""
    return 2 * interval_ms + OPEN_MARGIN_MS


def heartbeat_ms(interval_ms: int) -> int:
    """Since the job's newest heartbeat."""
    return 2 * interval_ms + BEAT_MARGIN_MS


def seconds_of(
    settings: Settings, trades_per_second: float | None = None, quotes_per_second: float = 0.0
) -> Mapping[str, float]:
    """Each limit in seconds, by its name in `ta_limit_seconds`.

    Args:
        settings: of the job.
        trades_per_second: that come; None: not known, so that bars may be closed by the clock.
        quotes_per_second: that come; 0: there are none.
    """
    interval_ms = settings.checkpoint_interval_ms
    closing_ms = closing_delay_ms(settings, trades_per_second, quotes_per_second)
    found: dict[str, float] = {
        "live_latency": LIVE_P99_MS,
        "final_latency": final_latency_ms(closing_ms, interval_ms),
        "watermark_lag": watermark_lag_ms(closing_ms),
        "checkpoint_age": checkpoint_age_ms(interval_ms),
        "checkpoint_duration": settings.checkpoint_timeout_ms / 2,
        "open_transaction": open_transaction_ms(interval_ms),
    }
    if settings.status_topic:
        found["job_heartbeat"] = heartbeat_ms(interval_ms)
    return {name: ms / 1_000 for name, ms in found.items()}
