"""How clients are told to connect: each in the language of its library, with any password."""

from __future__ import annotations

import shlex

import pytest

from flink.kafka import kafka_properties, with_clause
from ta_pipeline.kafka_config import client_config, jaas_config
from ta_pipeline.settings import Settings, load_settings

PASSWORDS = ["simple", "se'cr\"et\\%{$}, =;", '\\"', "'; DROP TABLE x; --", "ü ñ"]


def secured(password: str) -> Settings:
    return load_settings(
        kafka_security="SASL_SSL", kafka_username='some"body', kafka_password=password, kafka_ca_file=""
    )


@pytest.mark.parametrize("password", PASSWORDS)
def test_java_reads_the_password_that_was_given(password: str) -> None:
    line = jaas_config("a.b.Module", 'some"body', password)
    assert line.endswith(";")
    # Java's StreamTokenizer and a POSIX shell read double quotes alike, as far as these characters go.
    module, required, user, secret = shlex.split(line.removesuffix(";"))
    assert (module, required) == ("a.b.Module", "required")
    assert (user, secret) == ('username=some"body', f"password={password}")


@pytest.mark.parametrize("password", PASSWORDS)
def test_sql_reads_the_options_that_were_given(password: str) -> None:
    options = kafka_properties(secured(password))
    clause = with_clause(options)
    read = [part.replace("''", "'") for part in _literals(clause)]
    assert dict(zip(read[::2], read[1::2], strict=True)) == options


def _literals(clause: str) -> list[str]:
    """The quoted literals of a clause, by SQL's rule that a doubled quote is one."""
    found, current, index = [], None, 0
    while index < len(clause):
        if clause[index] != "'":
            current = current + clause[index] if current is not None else None
        elif current is None:
            current = ""
        elif clause[index : index + 2] == "''":
            current, index = current + "''", index + 1
        else:
            found.append(current)
            current = None
        index += 1
    return found


def test_without_sasl_no_user_is_told() -> None:
    settings = load_settings(kafka_username="somebody", kafka_password="secret")  # noqa: S106 - not used
    assert client_config(settings) == {"bootstrap.servers": settings.kafka_bootstrap, "security.protocol": "PLAINTEXT"}
    assert "jaas" not in with_clause(kafka_properties(settings))
