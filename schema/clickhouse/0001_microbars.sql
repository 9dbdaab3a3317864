-- Final 1-second bars. The newest revision of a key wins; read ta_microbars_latest.
CREATE TABLE IF NOT EXISTS {database}.ta_microbars
(
    symbol LowCardinality(String),
    event_ts DateTime64(3, 'UTC') COMMENT 'end of the second',
    seq UInt64 COMMENT 'epoch seconds of event_ts',
    revision UInt32,
    o Float64,
    h Float64,
    l Float64,
    c Float64,
    v Float64,
    vwap Nullable(Float64),
    count UInt64,
    feed LowCardinality(Nullable(String)),
    source LowCardinality(String),
    last_event_ts DateTime64(3, 'UTC') COMMENT 'newest trade in the bar',
    ingest_ts DateTime64(3, 'UTC') COMMENT 'when the job emitted it',
    row_version UInt64 MATERIALIZED toUInt64(revision) * 17592186044416 + toUInt64(toUnixTimestamp64Milli(ingest_ts))
)
ENGINE = ReplacingMergeTree(row_version)
PARTITION BY toDate(event_ts)
ORDER BY (symbol, event_ts, seq)
{ttl}
