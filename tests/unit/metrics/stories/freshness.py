"""Of alerts about what a reader sees."""

from __future__ import annotations

from tests.unit.metrics.stories.world import GONE, JOB, OPERATOR, Changes, Story, took

_TRADE, _BEAT = "ta_newest_trade_timestamp_seconds", "ta_job_heartbeat_timestamp_seconds"
_LAG = "ta_watermark_lag_seconds"
_QUIET: Changes = {_TRADE: "500+0"}
_STOPPED: Changes = {"ta_job_wanted": "0+0"}
_ASLEEP: Changes = {**_QUIET, "ta_session_open": "0+0"}
_LIVE, _FINAL = took("live", "60s"), took("final", "300s")
_NO_LIVE: Changes = {'ta_event_to_signal_seconds_count{path="live"}': "4000+0", _LIVE: GONE}
_NO_FINAL: Changes = {'ta_event_to_signal_seconds_count{path="final"}': "4000+0", _FINAL: GONE}
_LATE = "ta_event_to_signal_seconds"
_EVERY_MINUTE: Changes = {
    'ta_limit_seconds{limit="final_latency"}': "63.5+0",
    f'{_LATE}_bucket{{path="final",le="60"}}': "0+0",
    **{f'{_LATE}_bucket{{path="final",le="{edge}"}}': "0+100" for edge in ("120", "+Inf")},
}
_DUPLICATES = 'ta_probe_duplicates_total{path="final"}'
_GAPS = 'ta_probe_gaps_total{kind="live_without_final"}'
_OF_LIVE = {"kind": "live_without_final"}
_FORTY = "40 live_without_final in 5 min, more than 1% of those that were judged."
_LAGS = (
    "The watermark is 3.5s behind: the 99th percentile of a minute's heartbeats, or, without TA_STATUS_TOPIC, what "
    "Flink says."
)
_REACHED = f'{OPERATOR}currentInputWatermark{{{JOB},operator_name="signals"}}'
_WITHOUT_BEATS: Changes = dict.fromkeys((_LAG, _BEAT, 'ta_limit_seconds{limit="job_heartbeat"}'), GONE)
_CLOSED = _GAPS.replace("gaps", "gaps_closed")
_REJECTS = 'ta_job_records_total{kind="rejects"}'


STORIES = (
    Story("TaNoTrades", _QUIET, _ASLEEP),
    Story(
        "TaWatermarkLag",
        {_LAG: "3.5+0"},
        {**_ASLEEP, _LAG: "500+15"},
        description=_LAGS,
    ),
    Story("TaJobHeartbeatMissing", {_BEAT: "600+0"}, {**_ASLEEP, _BEAT: "600+0"}),
    Story(
        "TaLiveLatency",
        {_LIVE: "0.62+0"},
        {_LIVE: "0.5+0"},
        description="Event to live signal: the 99th percentile of 1m is 620ms.",
    ),
    Story("TaLiveSilent", _NO_LIVE, {**_NO_LIVE, **_ASLEEP}),
    Story(
        "TaFinalLatency",
        {_FINAL: "20.5+0"},
        # Later than the checkpoint interval, as it has to be.
        {_FINAL: "13.4+0"},
        description="Event to final signal: the 99th percentile of 5m is 20.5s.",
    ),
    # A checkpoint interval of a minute: all are within the limit, and in a bucket of the histogram that goes beyond.
    Story(
        "TaFinalLatency",
        {**_EVERY_MINUTE, _FINAL: "63.6+0"},
        {**_EVERY_MINUTE, _FINAL: "63.2+0"},
        description="Event to final signal: the 99th percentile of 5m is 1m 3s.",
    ),
    Story("TaFinalSilent", _NO_FINAL, {**_NO_FINAL, **_ASLEEP}),
    Story(
        "TaFinalDuplicates",
        {_DUPLICATES: "1+1"},
        # The live topic is at-least-once: a job that restarts repeats itself.
        {'ta_probe_duplicates_total{path="live"}': "1+1"},
        description="20 in 5 min.",
    ),
    Story(
        "TaGaps",
        {_GAPS: "2+2"},
        # One in a hundred and fifty: a cancel that takes the only volume of a second looks like that.
        {_GAPS: "1+1"},
        _OF_LIVE,
        _FORTY,
    ),
    Story(
        "TaRejects",
        {_REJECTS: "30+30"},
        {_REJECTS: "10+10"},
        description="600 in 5 min, more than 1% of what came; the topic of rejects has the reasons.",
    ),
    # The job has crashed: what was due meanwhile came a minute and a half later. Then some are lost, and that is told.
    Story(
        "TaGaps",
        {_GAPS: "60+0x27 95+0x11", _CLOSED: "0+0x5 60+0x33"},
        {_GAPS: "60+0", _CLOSED: "0+0x5 60+0x33"},
        _OF_LIVE,
        "35 live_without_final in 5 min, more than 1% of those that were judged.",
    ),
    # The session has just opened: the newest trade is that of the day before.
    Story("TaNoTrades", _QUIET, {**_QUIET, "ta_session_open": "0+0x27 1+0x11"}),
    # Without TA_STATUS_TOPIC Flink is asked; with it heartbeats are.
    Story(
        "TaWatermarkLag",
        {**_WITHOUT_BEATS, _REACHED: "500000+15000"},
        {_REACHED: "500000+15000"},
        description=_LAGS.replace("3.5s", "1m 40s"),
    ),
    # And none of it where it is in time, or has not begun.
    Story(
        "TaWatermarkLag",
        {**_WITHOUT_BEATS, _REACHED: "500000+15000"},
        {**_WITHOUT_BEATS, _REACHED: "-9223372036854775808+0x9 747900+15000x29"},
        description=_LAGS.replace("3.5s", "1m 40s"),
    ),
    # The job was stopped on purpose, while trades come and the session is open.
    Story("TaWatermarkLag", {_LAG: "3.5+0"}, {**_STOPPED, _LAG: "3.5+0"}, description=_LAGS),
    Story("TaJobHeartbeatMissing", {_BEAT: "600+0"}, {**_STOPPED, _BEAT: "600+0"}),
    Story("TaLiveSilent", _NO_LIVE, {**_STOPPED, **_NO_LIVE}),
    Story("TaFinalSilent", _NO_FINAL, {**_STOPPED, **_NO_FINAL}),
    Story("TaGaps", {_GAPS: "2+2"}, {**_STOPPED, _GAPS: "2+2"}, _OF_LIVE, _FORTY),
)
