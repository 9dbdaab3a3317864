"""Plays the Flink Kubernetes Operator: writes what its documentation and its code say it writes, and nothing more.

Like the operator it keeps what it knows in the object's status, so it may be stopped and started at any time. It takes
one step at a time, so that every state in between is there to be seen. Where the operator would ask a cluster, the
`Script` says what it would hear.
"""

from __future__ import annotations

import contextlib
import copy
import json
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from kubernetes.client import ApiClient, ApiException
from urllib3.exceptions import HTTPError

from ta_pipeline.kubernetes.client import FLINK_DEPLOYMENT, FLINK_STATE_SNAPSHOT, Kind

TICK_SECONDS = 0.05
JOB_ID = "$internal.pipeline.job-id"
SAVEPOINTS = "execution.checkpointing.savepoint-dir"
FINALIZER = "flinkdeployments.flink.apache.org/finalizer"
_IGNORED = ("upgradeMode", "savepointTriggerNonce", "initialSavepointPath", "allowNonRestoredState", "state")
_EXCEPTIONS = "org.apache.flink.kubernetes.operator.exception"


class Cluster(Protocol):
    """The Flink clusters that the operator would make of FlinkDeployments."""

    def submit(self, job_id: str, deployment: Mapping[str, Any], restored_from: str | None) -> None:
        """Start a cluster for a job."""

    def is_up(self, job_id: str) -> bool:
        """Whether its JobManager answers."""

    def run(self, job_id: str) -> None:
        """It was seen to answer."""

    def state(self, job_id: str) -> str | None:
        """Flink's word; None: not known yet."""

    def savepoint(self, job_id: str, directory: str) -> str:
        """Take one; its path."""

    def stop(self, job_id: str, directory: str) -> str:
        """Stop with a savepoint; its path."""

    def end(self, job_id: str, state: str) -> None:
        """End the job, and the cluster; fine when it has ended."""


@dataclass
class Script:
    """What the operator hears from the cluster.

    Attributes:
        pods: `start`: they come up; `image`: the image cannot be pulled; `crash`: the JobManager ends at once; `mount`:
            its ConfigMap is not there yet; then they come up.
        unpullable: the one image that cannot be pulled, whatever `pods` says; empty: none.
        crashing: the one image whose JobManager ends at once; empty: none.
        savepoint: `taken`, `fails`, or `last-state`: the job was not healthy, so the operator fell back.
        path_style: `status`: where a stop's savepoint is written: `upgradeSavepointPath`, or `savepointInfo`.
        is_away: it does nothing at all.
        blind_after: of generations above this one the operator takes no note; None: of all it does.
        refuses: a message with which it refuses a spec that is new to it.
        last_state: whether a record of a last checkpoint is there.
    """

    pods: str = "start"
    unpullable: str = ""
    crashing: str = ""
    savepoint: str = "taken"
    path_style: str = "upgradeSavepointPath"
    is_away: bool = False
    blind_after: int | None = None
    refuses: str = ""
    last_state: bool = True


@dataclass
class PlayedOperator:
    """Watches one namespace.

    Attributes:
        client: the official client as an administrator.
        namespace: the one.
        flink: what it drives.
        script: see there; may be changed while it runs.
        seen: every `lifecycleState` and `jobManagerDeploymentStatus` it has written, in their order.
    """

    client: ApiClient
    namespace: str
    flink: Cluster
    script: Script = field(default_factory=Script)
    seen: list[tuple[str, str]] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _warned: set[tuple[str, int]] = field(default_factory=set)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """It works for as long as this lasts."""
        self._stop.clear()
        with ThreadPoolExecutor(1) as pool:
            work = pool.submit(self._run)
            try:
                yield
            finally:
                self._stop.set()
                work.result()

    def await_seen(self, lifecycle: str, job_manager: str, seconds: float = 10.0) -> None:
        """Return when it has written these two, as the last or before."""
        deadline = time.monotonic() + seconds
        while (lifecycle, job_manager) not in self.seen:
            if time.monotonic() > deadline:
                raise AssertionError(f"{lifecycle}, {job_manager} was not written, but {self.seen}")
            time.sleep(TICK_SECONDS)

    def leave(self, message: str) -> None:
        """Write an error into the status, and an event, as one that is away has left them."""
        (found,) = self._list(FLINK_DEPLOYMENT)
        error = _error(f"{_EXCEPTIONS}.UpgradeFailureException", message)
        self._write(FLINK_DEPLOYMENT, found, {**found["status"], "error": error})
        self._event(found, "UpgradeFailed", message)

    def _run(self) -> None:
        while not self._stop.wait(TICK_SECONDS):
            if self.script.is_away:
                continue
            for kind, step in ((FLINK_DEPLOYMENT, self._step), (FLINK_STATE_SNAPSHOT, self._snapshot)):
                # Somebody has written meanwhile, the API server is away, or the CRD is: the next time.
                with contextlib.suppress(ApiException, HTTPError):
                    for found in self._list(kind):
                        step(found)

    def _step(self, found: Mapping[str, Any]) -> None:
        generation = found["metadata"]["generation"]
        if "deletionTimestamp" in found["metadata"]:
            self._let_go(found)
            return
        if not found["metadata"].get("finalizers"):
            self._finalize(found, [FINALIZER])
            return
        if self.script.blind_after is not None and generation > self.script.blind_after:
            return
        status = copy.deepcopy(dict(found.get("status") or {}))
        if not self._next(found, status):
            return
        status["lifecycleState"] = _lifecycle(status)
        self._write(FLINK_DEPLOYMENT, found, status)
        self.seen.append((status["lifecycleState"], status.get("jobManagerDeploymentStatus", "MISSING")))

    def _let_go(self, found: Mapping[str, Any]) -> None:
        """Somebody has deleted it: the job is ended, then the object may go."""
        if job_id := found.get("status", {}).get("jobStatus", {}).get("jobId"):
            self.flink.end(job_id, "CANCELED")
        self._finalize(found, [])

    def _finalize(self, found: Mapping[str, Any], finalizers: list[str]) -> None:
        self._call("PATCH", self._path(FLINK_DEPLOYMENT, found), {"metadata": {"finalizers": finalizers}})

    def _next(self, found: Mapping[str, Any], status: dict[str, Any]) -> bool:
        """Take the next step in `status`; False: there is none."""
        spec, name = found["spec"], found["metadata"]["name"]
        status.setdefault("jobStatus", {})
        reconciliation = status.setdefault("reconciliationStatus", {})
        recorded = _recorded(reconciliation)
        if recorded is None:
            return spec["job"].get("state") != "suspended" and self._begin(found, status)
        if reconciliation["state"] == "UPGRADING":
            return self._deploy(found, status, recorded["job"]["upgradeMode"])
        if found["metadata"]["generation"] != status.get("observedGeneration"):
            change = _change(recorded, spec)
            if change is not None:
                return self._carry_out(found, status, recorded, change)
            status["observedGeneration"] = found["metadata"]["generation"]
            return True
        if recorded["job"]["state"] == "suspended":
            return False
        return self._observe(name, self._pods(recorded), status, reconciliation) or self._nonce(
            name, spec, status, recorded
        )

    def _begin(self, found: Mapping[str, Any], status: dict[str, Any]) -> bool:
        """Write down what is about to be deployed for the first time."""
        if self.script.refuses:
            return self._refuse(status)
        spec, job = found["spec"], status["jobStatus"]
        _set_job_id(job, spec)
        if path := spec["job"].get("initialSavepointPath"):
            job["upgradeSavepointPath"] = path
        self._record(found, status, "suspended", "savepoint" if path else "stateless", "UPGRADING")
        return True

    def _refuse(self, status: dict[str, Any]) -> bool:
        """Not valid: the operator says so, and leaves what it has carried out before."""
        error = _error(f"{_EXCEPTIONS}.ValidationException", self.script.refuses)
        is_new = status.get("error") != error
        status["error"] = error
        return is_new

    def _carry_out(
        self, found: Mapping[str, Any], status: dict[str, Any], recorded: Mapping[str, Any], change: str
    ) -> bool:
        spec, job = found["spec"], status["jobStatus"]
        if self.script.refuses:
            return self._refuse(status)
        if change == "redeploy":
            # As `redeployWithSavepoint` does it: all in one go, and stable before the JobManager is up.
            self.flink.end(job["jobId"], "CANCELED")
            status["jobManagerDeploymentStatus"] = "MISSING"
            job["upgradeSavepointPath"] = spec["job"]["initialSavepointPath"]
            if spec["job"].get("state") == "suspended":
                self._record(found, status, "suspended", "savepoint", "DEPLOYED")
            else:
                self._deploy(found, status, "savepoint")
            _mark_stable(status)
            return True
        if recorded["job"]["state"] == "running":
            mode = self._suspend(found, status)
            if mode is None:
                return status.get("error") != (found.get("status") or {}).get("error")
            wanted = spec["job"].get("state", "running")
            self._record(found, status, "suspended", mode, "DEPLOYED" if wanted == "suspended" else "UPGRADING")
            return True
        # It was suspended: from what it knows, unless no state is asked for.
        wanted_mode = spec["job"]["upgradeMode"]
        mode = "stateless" if wanted_mode == "stateless" else recorded["job"]["upgradeMode"]
        self._record(found, status, "suspended", mode, "UPGRADING")
        return True

    def _suspend(self, found: Mapping[str, Any], status: dict[str, Any]) -> str | None:
        """End the running job; the mode it was done with, or None: it cannot be done now."""
        mode, job = found["spec"]["job"]["upgradeMode"], status["jobStatus"]
        if mode == "savepoint" and self.script.savepoint == "fails":
            status["error"] = _error(
                f"{_EXCEPTIONS}.ReconciliationException", "org.apache.flink.util.FlinkException: Could not stop with "
                "savepoint", ("org.apache.flink.util.FlinkException", "Could not stop with savepoint"),
                ("java.io.IOException", "No space left on device"),
            )  # fmt: skip
            self._warn_once(found, "Error", "Could not stop with savepoint: No space left on device")
            return None
        if mode == "savepoint" and (self.script.savepoint == "last-state" or job.get("state") != "RUNNING"):
            mode = "last-state"
        if mode == "last-state" and not self.script.last_state:
            message = (
                "JobManager deployment is missing and HA metadata is not available to make stateful upgrades. It is "
                "possible that the job has finished or terminally failed, or the configmaps have been deleted. Manual "
                "restore required."
            )
            status["error"] = _error(f"{_EXCEPTIONS}.UpgradeFailureException", message)
            self._warn_once(found, "UpgradeFailed", message)
            return None
        if mode == "savepoint":
            path = self.flink.stop(job["jobId"], found["spec"]["flinkConfiguration"][SAVEPOINTS])
            if self.script.path_style == "upgradeSavepointPath":
                job["upgradeSavepointPath"] = path
            else:
                job.pop("upgradeSavepointPath", None)
                job["savepointInfo"] = {"lastSavepoint": {
                    "location": path, "timeStamp": int(time.time() * 1_000), "triggerType": "UPGRADE",
                    "formatType": "CANONICAL",
                }}  # fmt: skip
        self.flink.end(job["jobId"], "CANCELED")
        job["state"] = "FINISHED"
        status["jobManagerDeploymentStatus"] = "MISSING"
        return mode

    def _deploy(self, found: Mapping[str, Any], status: dict[str, Any], mode: str) -> bool:
        job, spec = status["jobStatus"], found["spec"]
        if mode == "last-state":
            job["upgradeSavepointPath"] = "KUBERNETES_OPERATOR_LAST_STATE"
        if JOB_ID in spec.get("flinkConfiguration", {}) or mode != "last-state":
            _set_job_id(job, spec)
        job["state"] = "RECONCILING"
        status["jobManagerDeploymentStatus"] = "DEPLOYING"
        restored = None if mode == "stateless" else job.get("upgradeSavepointPath") or _location(job)
        if self._pods(spec) in {"start", "mount"}:
            self.flink.submit(job["jobId"], found, restored)
        self._record(found, status, "running", mode, "DEPLOYED")
        return True

    def _pods(self, spec: Mapping[str, Any]) -> str:
        special = {self.script.unpullable: "image", self.script.crashing: "crash"}
        return special.get(spec["image"], self.script.pods)

    def _observe(self, name: str, pods: str, status: dict[str, Any], reconciliation: dict[str, Any]) -> bool:
        """What the cluster has come to."""
        manager, job = status.get("jobManagerDeploymentStatus"), status["jobStatus"]
        if manager == "DEPLOYING" and pods != "start":
            return self._mount_fails(status) if pods == "mount" else self._pods_fail(name, pods, status)
        if manager == "DEPLOYING" or (manager == "ERROR" and pods in {"start", "mount"}):
            if not self.flink.is_up(job["jobId"]):
                return False
            status["jobManagerDeploymentStatus"] = "DEPLOYED_NOT_READY"
            return True
        if manager == "DEPLOYED_NOT_READY":
            status["jobManagerDeploymentStatus"] = "READY"
            self.flink.run(job["jobId"])
            return True
        told = self.flink.state(job["jobId"])
        if manager == "READY" and told is not None and told != job.get("state"):
            job["state"] = told
            job["startTime"] = str(int(time.time() * 1_000))
            if told == "RUNNING":
                _mark_stable(status)
                status.pop("error", None)
            return True
        return False

    def _pods_fail(self, name: str, pods: str, status: dict[str, Any]) -> bool:
        reason, message = {
            "image": ("ImagePullBackOff", 'Back-off pulling image "registry.invalid/ta:2"'),
            "crash": ("CrashLoopBackOff", "back-off 40s restarting failed container"),
        }[pods]
        self._pod(name, reason, message)
        status["jobManagerDeploymentStatus"] = "ERROR"
        status["jobStatus"]["state"] = "RECONCILING"
        status["error"] = _error(
            f"{_EXCEPTIONS}.DeploymentFailedException", f"[flink-main-container] {message}", reason=reason
        )
        return True

    def _mount_fails(self, status: dict[str, Any]) -> bool:
        """By an event of the pod, as operators from 1.12 on tell it; the pod itself is being made."""
        status["jobManagerDeploymentStatus"] = "ERROR"
        status["jobStatus"]["state"] = "RECONCILING"
        status["error"] = _error(
            f"{_EXCEPTIONS}.DeploymentFailedException", 'MountVolume.SetUp failed for volume "flink-config-volume": '
            'configmap "flink-config-torghut-ta" not found', reason="FailedMount",
        )  # fmt: skip
        return True

    def _nonce(self, name: str, spec: Mapping[str, Any], status: dict[str, Any], recorded: dict[str, Any]) -> bool:
        """A savepoint that a new nonce asks for: two steps, triggered and done."""
        nonce, job = spec["job"].get("savepointTriggerNonce"), status["jobStatus"]
        if nonce is None or nonce == recorded["job"].get("savepointTriggerNonce") or job.get("state") != "RUNNING":
            return False
        info = job.setdefault("savepointInfo", {})
        if "triggerId" not in info:
            info["triggerId"] = uuid.uuid4().hex
            return True
        del info["triggerId"]
        recorded["job"]["savepointTriggerNonce"] = nonce
        _rewrite(status["reconciliationStatus"], recorded)
        if self.script.savepoint == "fails":
            message = f"Savepoint failed for savepointTriggerNonce: {nonce}"
            self._event({"metadata": {"name": name}}, "SavepointError", message)
            return True
        info["lastSavepoint"] = {
            "location": self.flink.savepoint(job["jobId"], spec["flinkConfiguration"][SAVEPOINTS]),
            "triggerNonce": nonce,
            "timeStamp": int(time.time() * 1_000), "triggerType": "MANUAL", "formatType": "CANONICAL",
        }  # fmt: skip
        return True

    def _snapshot(self, found: Mapping[str, Any]) -> None:
        status = dict(found.get("status") or {})
        state = status.get("state", "TRIGGER_PENDING")
        if state == "TRIGGER_PENDING":
            self._write(FLINK_STATE_SNAPSHOT, found, {"state": "IN_PROGRESS", "triggerId": uuid.uuid4().hex})
        elif state == "IN_PROGRESS" and self.script.savepoint == "fails":
            error = _error("java.io.IOException", "No space left on device")
            self._write(FLINK_STATE_SNAPSHOT, found, {"state": "FAILED", "failures": 1, "error": error})
        elif state == "IN_PROGRESS":
            path = self.flink.savepoint(self._job_of(found), found["spec"]["savepoint"]["path"])
            self._write(FLINK_STATE_SNAPSHOT, found, {"state": "COMPLETED", "path": path})

    def _job_of(self, found: Mapping[str, Any]) -> str:
        name = found["spec"]["jobReference"]["name"]
        (deployment,) = [one for one in self._list(FLINK_DEPLOYMENT) if one["metadata"]["name"] == name]
        job_id: str = deployment["status"]["jobStatus"]["jobId"]
        return job_id

    def _record(
        self, found: Mapping[str, Any], status: dict[str, Any], state: str, mode: str, reconciliation: str
    ) -> None:
        """What is carried out now, as the operator writes it down before it begins, and when it has."""
        spec = copy.deepcopy(found["spec"])
        spec["job"] |= {"state": state, "upgradeMode": mode}
        before = _recorded(status["reconciliationStatus"])
        # A savepoint that was asked for meanwhile is not forgotten.
        if before is not None and "savepointTriggerNonce" in before["job"]:
            spec["job"]["savepointTriggerNonce"] = before["job"]["savepointTriggerNonce"]
        elif before is not None:
            spec["job"].pop("savepointTriggerNonce", None)
        _rewrite(status["reconciliationStatus"], spec)
        status["reconciliationStatus"]["state"] = reconciliation
        status["observedGeneration"] = found["metadata"]["generation"]
        status.pop("error", None)
        if found["spec"]["job"].get("state") == "suspended":
            _mark_stable(status)

    def _pod(self, name: str, reason: str, message: str) -> None:
        """What a node would have made of the JobManager: its pod, and the event."""
        pods, some = f"/api/v1/namespaces/{self.namespace}/pods", uuid.uuid4().hex
        pod = f"{name}-{some[:9]}-{some[-5:]}"
        self._call("POST", pods, {
            "metadata": {"name": pod, "labels": {"app": name, "component": "jobmanager"}},
            "spec": {"containers": [{"name": "flink-main-container", "image": "registry.invalid/ta:2"}]},
        })  # fmt: skip
        container: dict[str, Any] = {
            "name": "flink-main-container", "image": "", "imageID": "", "ready": False, "restartCount": 4,
            "state": {"waiting": {"reason": reason, "message": message}},
        }  # fmt: skip
        if reason == "CrashLoopBackOff":
            container["lastState"] = {
                "terminated": {"reason": "Error", "exitCode": 1, "message": "Could not find a file system for s3a"}
            }
        self._call("PATCH", f"{pods}/{pod}/status", {"status": {"containerStatuses": [container]}})
        self._event({"kind": "Pod", "metadata": {"name": pod, "namespace": self.namespace}}, "Failed", message)

    def _warn_once(self, found: Mapping[str, Any], reason: str, message: str) -> None:
        """At once when the object has changed; the operator itself says it again, every minute."""
        of = (found["metadata"]["uid"], found["metadata"]["generation"])
        if of not in self._warned:
            self._event(found, reason, message)
            self._warned.add(of)

    def _event(self, about: Mapping[str, Any], reason: str, message: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._call("POST", f"/api/v1/namespaces/{self.namespace}/events", {
            "metadata": {"name": uuid.uuid4().hex}, "type": "Warning", "reason": reason, "message": message,
            "firstTimestamp": now, "lastTimestamp": now, "count": 1,
            "involvedObject": {"kind": about.get("kind", FLINK_DEPLOYMENT.name), "name": about["metadata"]["name"],
                               "namespace": self.namespace},
        })  # fmt: skip

    def _list(self, kind: Kind) -> list[dict[str, Any]]:
        path = f"{kind.prefix}/namespaces/{self.namespace}/{kind.plural}"
        return list(self._call("GET", path)["items"])

    def _write(self, kind: Kind, found: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        content = {"apiVersion": kind.api_version, "kind": kind.name, **found, "status": status}
        self._call("PUT", f"{self._path(kind, found)}/status", content)

    def _path(self, kind: Kind, found: Mapping[str, Any]) -> str:
        return f"{kind.prefix}/namespaces/{self.namespace}/{kind.plural}/{found['metadata']['name']}"

    def _call(self, method: str, path: str, content: Mapping[str, Any] | None = None) -> Any:
        headers = {**self.client.default_headers, "Accept": "application/json"}
        headers["Content-Type"] = "application/merge-patch+json" if method == "PATCH" else "application/json"
        self.client.update_params_for_auth(headers, [], ["BearerToken"])
        answer = self.client.rest_client.request(
            method, self.client.configuration.host + path, headers=headers, body=content, _request_timeout=5
        )
        return json.loads(answer.data)


def _recorded(reconciliation: Mapping[str, Any]) -> dict[str, Any] | None:
    record = reconciliation.get("lastReconciledSpec")
    return None if record is None else json.loads(record)["spec"]


def _rewrite(reconciliation: dict[str, Any], spec: Mapping[str, Any]) -> None:
    meta = {"apiVersion": FLINK_DEPLOYMENT.api_version, "firstDeployment": False}
    reconciliation["lastReconciledSpec"] = json.dumps({"spec": spec, "resource_metadata": meta})
    reconciliation["reconciliationTimestamp"] = int(time.time() * 1_000)


def _mark_stable(status: dict[str, Any]) -> None:
    status["reconciliationStatus"]["lastStableSpec"] = status["reconciliationStatus"]["lastReconciledSpec"]


def _change(recorded: Mapping[str, Any], spec: Mapping[str, Any]) -> str | None:
    """What kind of change a spec is, as the operator's diff has it; None: one that it ignores."""
    before, after = recorded["job"], spec["job"]
    nonce = after.get("savepointRedeployNonce")
    if nonce is not None and nonce != before.get("savepointRedeployNonce"):
        return "redeploy"
    if before["state"] != after.get("state", "running"):
        return "state"
    left, right = ({key: value for key, value in one.items() if key not in _IGNORED} for one in (before, after))
    right.setdefault("savepointRedeployNonce", left.get("savepointRedeployNonce"))
    left.setdefault("savepointRedeployNonce", None)
    rest_before, rest_after = ({key: value for key, value in one.items() if key != "job"} for one in (recorded, spec))
    return "upgrade" if left != right or rest_before != rest_after else None


def _set_job_id(job: dict[str, Any], spec: Mapping[str, Any]) -> None:
    job["jobId"] = spec.get("flinkConfiguration", {}).get(JOB_ID) or uuid.uuid4().hex


def _location(job: Mapping[str, Any]) -> str | None:
    found: str | None = (job.get("savepointInfo", {}).get("lastSavepoint") or {}).get("location")
    return found


def _lifecycle(status: Mapping[str, Any]) -> str:
    """As `CommonStatus.getLifecycleState` makes it of the rest."""
    reconciliation, error = status["reconciliationStatus"], status.get("error", "")
    recorded = _recorded(reconciliation)
    if recorded is None:
        return "FAILED" if error else "CREATED"
    if reconciliation["state"] in {"UPGRADING", "ROLLING_BACK"}:
        return str(reconciliation["state"])
    if recorded["job"]["state"] == "suspended":
        return "SUSPENDED"
    if status["jobStatus"].get("state") == "FAILED":
        return "FAILED"
    if status.get("jobManagerDeploymentStatus") in {"MISSING", "ERROR"} and "HA metadata is not available" in error:
        return "FAILED"
    is_stable = reconciliation.get("lastStableSpec") == reconciliation["lastReconciledSpec"]
    return "STABLE" if is_stable else "DEPLOYED"


def _error(kind: str, message: str, *causes: tuple[str, str], reason: str = "") -> str:
    """As `FlinkResourceExceptionUtils` writes an exception."""
    metadata = {"reason": reason} if reason else {}
    listed = [{"type": one, "message": text, "additionalMetadata": {}} for one, text in causes]
    return json.dumps({"type": kind, "message": message, "additionalMetadata": metadata, "throwableList": listed})
