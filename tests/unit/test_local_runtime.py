from __future__ import annotations

import pytest

from ta_pipeline.local.submission import submission_error

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


def test_of_a_job_that_fails_while_it_is_planned_the_trace_in_the_clients_log_is_kept() -> None:
    printed = "org.apache.flink.client.program.ProgramAbortException: Python process exits with code: 1\nCaused by: x\n"
    log = """2026-01-02 INFO an older one
Traceback (most recent call last):
  File "old.py", line 1, in <module>
ValueError: old
2026-01-02 INFO Python process exits with code
Traceback (most recent call last):
  File "job.py", line 10, in <module>
    main()
  File "ticks.py", line 3, in create
    raise KeyError("trades")
KeyError: 'trades'
2026-01-02 ERROR something else
"""
    found = submission_error(printed, log)
    assert found == "File \"ticks.py\", line 3, in create\nKeyError: 'trades'"
