-- What readers ask: one row for each key, the newest revision.
CREATE VIEW IF NOT EXISTS {database}.ta_microbars_latest AS SELECT * FROM {database}.ta_microbars FINAL;
CREATE VIEW IF NOT EXISTS {database}.ta_signals_latest AS SELECT * FROM {database}.ta_signals FINAL
