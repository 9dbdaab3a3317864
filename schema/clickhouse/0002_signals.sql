-- Final signals, 1-second and 1-minute: seq tells them apart. Columns are null where the signal's group is.
CREATE TABLE IF NOT EXISTS {database}.ta_signals
(
    symbol LowCardinality(String),
    event_ts DateTime64(3, 'UTC') COMMENT 'end of the window',
    seq UInt64 COMMENT 'event_ts / window size',
    window_size LowCardinality(String) COMMENT 'PT1S or PT1M',
    revision UInt32,
    c Float64,
    bars UInt64 COMMENT 'bars since the indicator state began',
    ema12 Nullable(Float64),
    ema26 Nullable(Float64),
    macd Nullable(Float64),
    macd_signal Nullable(Float64),
    macd_hist Nullable(Float64),
    rsi14 Nullable(Float64),
    boll_mid Nullable(Float64),
    boll_upper Nullable(Float64),
    boll_lower Nullable(Float64),
    vwap_session Nullable(Float64),
    vwap_w5m Nullable(Float64) COMMENT 'over vwap_window_s seconds',
    spread Nullable(Float64),
    imbalance Nullable(Float64),
    bid_px Nullable(Float64),
    ask_px Nullable(Float64),
    bid_sz Nullable(Float64),
    ask_sz Nullable(Float64),
    vol_w60s Nullable(Float64) COMMENT 'over vol_window_s seconds',
    vol_w30m Nullable(Float64) COMMENT '1-minute signals: over 30 minutes',
    vwap_window_s UInt32,
    vol_window_s UInt32,
    feed LowCardinality(Nullable(String)),
    source LowCardinality(String),
    last_event_ts DateTime64(3, 'UTC'),
    ingest_ts DateTime64(3, 'UTC'),
    row_version UInt64 MATERIALIZED toUInt64(revision) * 17592186044416 + toUInt64(toUnixTimestamp64Milli(ingest_ts))
)
ENGINE = ReplacingMergeTree(row_version)
PARTITION BY toDate(event_ts)
ORDER BY (symbol, event_ts, seq)
{ttl}
