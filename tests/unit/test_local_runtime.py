from __future__ import annotations

import pytest

from ta_pipeline.local.runtime import submission_error

OWN = "ta_pipeline.errors.SettingsError: TA_PARALLELISM='x' is not allowed"
JAVA = "Caused by: java.net.ConnectException: Connection refused"


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        (f"Traceback (most recent call last):\n  File x\n{OWN}\norg.apache.flink.X: y\n{JAVA}\n", OWN),
        (f"java.lang.X: failed\nCaused by: outer\n\tat x\nCaused by: middle\n{JAVA}\n", f"Caused by: middle\n{JAVA}"),
        ("\n".join(f"line {number}" for number in range(20)), "\n".join(f"line {number}" for number in range(8, 20))),
        ("", ""),
    ],
)
def test_of_a_failed_submission_what_matters_is_kept(printed: str, expected: str) -> None:
    assert submission_error(printed) == expected
