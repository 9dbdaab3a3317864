from __future__ import annotations

import traceback

import pytest

from ta_pipeline.errors import SettingsError
from ta_pipeline.settings import Settings, load_settings, parse_overrides

SECRETS = ("kafka_password", "s3_access_key", "s3_secret_key", "schema_registry_password", "clickhouse_password")


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("session", "lunar", "'extended', 'regular' or 'utc_day'"),
        ("bar_rules", "none", "'alpaca' or 'all'"),
        ("live_slice_ms", "5", "greater than or equal to 10"),
        ("parallelism", "many", "integer"),
        ("trades_topic", "a topic", "a-z A-Z 0-9"),
        ("startup_mode", "yesterday", "'latest', 'earliest'"),
        ("kafka_security", "TLS", "'PLAINTEXT', 'SSL'"),
        ("on_bad_record", "ignore", "'reject' or 'fail'"),
        ("checkpoint_interval_ms", "0", "greater than or equal to 100"),
    ],
)
def test_a_bad_value_is_an_error_that_names_the_variable_the_value_and_what_is_allowed(
    name: str, value: str, allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"TA_{name.upper()}", value)
    with pytest.raises(SettingsError) as raised:
        load_settings()
    message = str(raised.value)
    assert f"TA_{name.upper()}={value!r}" in message
    assert allowed in message
    assert str(Settings.model_fields[name].description) in message


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_is_shown_nowhere(name: str) -> None:
    settings = load_settings(**{name: "s3cr3t-value"})
    assert "s3cr3t" not in repr(settings) + str(settings) + settings.model_dump_json() + str(settings.model_dump())
    assert settings.without_secrets("user:s3cr3t-value@host") == "user:**********@host"
    with pytest.raises(SettingsError) as raised:
        load_settings(**{name: "s3cr3t-value", "parallelism": 0})
    assert "s3cr3t" not in str(raised.value)


def test_a_secret_of_the_wrong_type_is_not_shown_either() -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(kafka_password=["s3cr3t"])
    assert "s3cr3t" not in str(raised.value)
    assert "TA_KAFKA_PASSWORD=**********" in str(raised.value)


@pytest.mark.parametrize(
    "setting", ["s3_endpoint", "schema_registry_url", "clickhouse_url", "flink_rest_url", "probe_url"]
)
@pytest.mark.parametrize("url", ["https://me:ge/h@im@host:8443", "me:ge/h@im@host", "http://ge/h@im@host/x"])
def test_a_login_in_a_url_is_refused_and_not_shown(setting: str, url: str) -> None:
    with pytest.raises(SettingsError, match=r"settings of their own") as caught:
        load_settings(**{setting: url})
    assert "**********@host" in str(caught.value)
    assert "ge/h" not in str(caught.value)


@pytest.mark.parametrize("value", [["s3cr3t"], "s3cr3t"])
def test_a_secret_is_not_in_what_an_error_carries_along(value: object) -> None:
    with pytest.raises(SettingsError) as raised:
        load_settings(kafka_password=value, parallelism=0)
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    assert "s3cr3t" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("name", ["trades\n", "\ntrades", "trades\r", ".", "..", "", "a" * 250, "trädes"])
@pytest.mark.parametrize("setting", ["trades_topic", "late_topic"])
def test_a_name_that_kafka_would_refuse_is_no_topic_name(setting: str, name: str) -> None:
    with pytest.raises(SettingsError, match=r"1 to 249 of the characters") as raised:
        load_settings(**{setting: name})
    assert f"TA_{setting.upper()}={name!r}" in str(raised.value)


def test_the_status_topic_may_be_empty_but_not_a_line_break() -> None:
    assert load_settings(status_topic="").status_topic == ""
    with pytest.raises(SettingsError, match="TA_STATUS_TOPIC"):
        load_settings(status_topic="\n")


@pytest.mark.parametrize(
    ("overrides", "named"),
    [
        ({"transaction_timeout_ms": 60_000}, "TA_CHECKPOINT_TIMEOUT_MS + TA_RESTART_BUDGET_MS = 180000"),
        ({"bar_close_timeout_ms": 2_000}, "must be above TA_MAX_OUT_OF_ORDERNESS_MS = 2000"),
        ({"parallelism": 64, "max_parallelism": 32}, "TA_MAX_PARALLELISM is 32"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_together(overrides: dict[str, int], named: str) -> None:
    with pytest.raises(SettingsError, match=r"must be above|TA_MAX_PARALLELISM") as raised:
        load_settings(**overrides)
    assert named in str(raised.value)


def test_the_environment_is_read_and_overrides_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TA_SYMBOLS", "AAPL, MSFT")
    monkeypatch.setenv("TA_PARALLELISM", "3")
    settings = load_settings(parallelism=2)
    assert (settings.symbol_list, settings.parallelism) == (("AAPL", "MSFT"), 2)


def test_a_name_that_is_no_setting_is_refused() -> None:
    with pytest.raises(SettingsError, match="TA_NO_SUCH_THING"):
        load_settings(no_such_thing=1)
    assert parse_overrides(["TA_SESSION=regular"]) == {"session": "regular"}
    for pair in ("SESSION=regular", "TA_SESSION"):
        with pytest.raises(SettingsError, match="TA_NAME=VALUE"):
            parse_overrides([pair])


def test_a_value_is_not_repeated_where_its_name_is_wrong() -> None:
    with pytest.raises(SettingsError, match=r"got 'KAFKA_PASSWORD=...'"):
        parse_overrides(["KAFKA_PASSWORD=s3cr3t"])


@pytest.mark.parametrize(
    "printed",
    [
        """password="s3'c\\\\r\\"3t/&" required""",  # Java's login configuration
        """'password' = 's3''c\\r"3t/&'""",  # SQL
        """'jaas' = 'password="s3''c\\\\r\\"3t/&"'""",  # the one in the other
        """{"password": "s3'c\\\\r\\"3t/&"}""",
        """https://user:s3%27c%5Cr%223t%2F%26@host""",
        "Authorization: Basic dXNlcjpzMydjXHIiM3QvJg==",
    ],
)
def test_a_secret_is_taken_out_however_it_is_quoted(printed: str) -> None:
    quoted = "s3'c\\r\"3t/&"
    settings = load_settings(schema_registry_username="user", schema_registry_password=quoted)
    shown = settings.without_secrets(printed)
    assert "**********" in shown
    assert not {"3t", "dXNlcjpz"} & {shown[i : i + n] for n in (2, 8) for i in range(len(shown))}


def test_the_idle_timeout_is_what_the_close_timeout_leaves() -> None:
    assert load_settings(bar_close_timeout_ms=7_000, max_out_of_orderness_ms=3_000).idle_timeout_ms == 4_000
