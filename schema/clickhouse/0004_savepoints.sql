-- Every savepoint that was seen in S3, and what is known of it; the newest record of a path wins: read FINAL.
CREATE TABLE IF NOT EXISTS {database}.savepoints
(
    path String,
    taken_at DateTime64(3, 'UTC') COMMENT 'when its metadata was written',
    bytes UInt64,
    files UInt32,
    job_id String COMMENT 'of Flink, or its first 6 digits when no more is known',
    revision Nullable(UInt32) COMMENT 'of the job that took it',
    kind LowCardinality(String) COMMENT 'scheduled, rollout or manual',
    verified_at Nullable(DateTime64(3, 'UTC')),
    problem Nullable(String) COMMENT 'what the newest verification found',
    deleted_at Nullable(DateTime64(3, 'UTC')) COMMENT 'when it was seen to be gone',
    recorded_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(recorded_at)
ORDER BY path
