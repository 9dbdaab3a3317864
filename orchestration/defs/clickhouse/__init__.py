"""ClickHouse: numbered migrations, applied once; drift, space and parts are checked."""
