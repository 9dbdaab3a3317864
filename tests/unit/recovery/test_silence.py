"""A JobManager that does not answer is not one whose record is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from ta_pipeline.cli_recover import _rebuild
from ta_pipeline.errors import FlinkNoAnswerError
from ta_pipeline.local.settings import load_local_settings
from ta_pipeline.platform import Platform
from ta_pipeline.recovery.service import Recovery
from ta_pipeline.settings import load_settings

NOBODY = "http://127.0.0.1:9"
KUBECONFIG = f"""\
apiVersion: v1
kind: Config
current-context: here
clusters: [{{name: here, cluster: {{server: "{NOBODY}"}}}}]
contexts: [{{name: here, context: {{cluster: here, user: me}}}}]
users: [{{name: me, user: {{token: nobody}}}}]
"""


def test_on_kubernetes_nobody_is_told_to_forget_jobs_because_the_api_server_is_silent(tmp_path: Path) -> None:
    (tmp_path / "kubeconfig").write_text(KUBECONFIG, encoding="utf-8")
    settings = load_settings(
        runtime="kubernetes", image="registry.example/ta:1", k8s_kubeconfig=str(tmp_path / "kubeconfig"),
        flink_rest_url=NOBODY, s3_endpoint=NOBODY,
    )  # fmt: skip
    recovery = Recovery(Platform.of(settings, load_local_settings()))
    with pytest.raises(FlinkNoAnswerError, match=r"API server at http://127\.0\.0\.1:9 does not answer") as raised:
        _rebuild(recovery, 1.0, 0.0, yes=True)
    assert "--forget-jobs" not in str(raised.value)
