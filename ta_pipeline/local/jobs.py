"""What the cluster keeps of its jobs, in ZooKeeper and S3: whether it is whole, and how it is given up.

A JobManager does not start with pointers to what is gone. Then, and only then, it has to forget its jobs.
"""

from __future__ import annotations

import shutil

from ta_pipeline.errors import StackError
from ta_pipeline.flink_rest import FlinkRest
from ta_pipeline.local.runtime import await_taskmanager
from ta_pipeline.local.s3 import BUCKET, HIGH_AVAILABILITY_DIR
from ta_pipeline.local.settings import LocalSettings
from ta_pipeline.local.supervisor import Supervisor
from ta_pipeline.local.zookeeper import data_of
from ta_pipeline.runtime import Report
from ta_pipeline.s3 import bucket_exists, ensure_bucket, list_keys, s3_client
from ta_pipeline.settings import Settings

_IN_ORDER = ("jobmanager", "zookeeper")


def record_is_gone(settings: Settings) -> bool:
    """Whether S3 holds nothing of what the cluster keeps of its jobs.

    Raises:
        S3Error: S3 refuses, or does not answer: that is no absence.
    """
    client = s3_client(settings)
    return not bucket_exists(client, BUCKET) or not list_keys(client, f"{HIGH_AVAILABILITY_DIR}/")


def forget_jobs(local: LocalSettings, settings: Settings, report: Report) -> None:
    """Start ZooKeeper and the JobManager anew, without any job.

    Raises:
        StackError: what the cluster keeps is there, so that a JobManager can start with it; the stack is down; or the
            JobManager did not start.
        S3Error: S3 refuses, or does not answer.
    """
    if not record_is_gone(settings):
        raise StackError(
            f"{HIGH_AVAILABILITY_DIR} holds what the cluster keeps of its jobs: they are not made to be forgotten; "
            "`ta logs jobmanager` says why it does not start"
        )
    supervisor = Supervisor(local.dir)
    if not supervisor.is_up():
        raise StackError("the local stack is down; `ta up` starts it")
    ensure_bucket(s3_client(settings), BUCKET)
    report("stopping the JobManager and ZooKeeper")
    for name in _IN_ORDER:
        supervisor.stop_process(name)
    shutil.rmtree(data_of(local), ignore_errors=True)
    data_of(local).mkdir(parents=True)
    report("starting both without any job")
    for name in reversed(_IN_ORDER):
        supervisor.start_process(name)
    await_taskmanager(FlinkRest(settings.flink_rest_url), local.ready_timeout_seconds)
