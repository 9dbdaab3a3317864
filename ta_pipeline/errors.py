"""Every error this package raises on purpose.

    TaError
    ├── SettingsError        a TA_* variable has a value that cannot be used
    ├── BadRecordError       one input record cannot be used (never stops a stream)
    ├── RecordingError       a recording file cannot be read
    ├── StateVersionError    saved indicator state is of a version this code cannot load
    ├── StateError           a savepoint or checkpoint is not there, not whole, or cannot be read
    ├── ManifestError        a file of Kubernetes manifests is missing, wrong, or uses what is not known here
    ├── ImageError           the files of an image could not be put together
    ├── StackError           a local component could not be started, reached or stopped
    │   └── PortTakenError   a port that a component needs is held by another process
    ├── KafkaSetupError      a topic is missing or is declared otherwise than it is
    ├── SchemaError          the registry refused a schema, or could not be asked
    ├── ClickHouseError      a migration or a query failed
    │   └── ClickHouseNoAnswerError
    ├── FlinkError           the Flink REST API refused, failed, or reported a failed job
    │   ├── FlinkNoAnswerError
    │   ├── FlinkNotFoundError   Flink does not know the job, or not yet
    │   ├── DeployError      a job was submitted and did not get to work
    │   └── KubernetesError  the API server refused, or the operator reports a failure
    │       ├── KubernetesNoAnswerError
    │       ├── ForbiddenError   the API server lets somebody else do it, or nobody
    │       └── OwnedError   somebody else owns a field that was to be changed
    ├── LockError            somebody else does, or may do, what only one may do
    ├── RolloutError         a rollout was refused, failed, or was rolled back
    ├── S3Error              S3 refused a request or could not be reached
    │   └── S3NoAnswerError
    ├── LogError             what was asked of the logs is not known
    ├── MonitoringError      the probe does not answer, or an alert could not be delivered
    ├── PrometheusError      Prometheus refused a query
    │   └── PrometheusNoAnswerError
    └── NoAnswerError        also each *NoAnswerError: nothing was heard, so what was asked for may have happened

One base, so that a shell around the package (the CLI, Dagster) can tell "we refused, and here is why" from a
defect. Messages name what was wrong, the value, what is allowed and what to do next; secrets are never in them.
"""


class TaError(Exception):
    """Base of every error raised on purpose by this package."""


class SettingsError(TaError):
    """A setting has a value that cannot be used; the message names variable, value and what is allowed."""


class BadRecordError(TaError):
    """One input record cannot be used; `reason` is the counter's label and the reject record's reason."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(f"{reason}: {detail}" if detail else reason)


class RecordingError(TaError):
    """A recording cannot be read: missing, not JSON lines, or a message of unknown shape."""


class StateVersionError(TaError):
    """Saved state has a version this code does not know how to load."""


class StateError(TaError):
    """A savepoint or retained checkpoint is not there, not whole, or cannot be read; the message names its URI."""


class ManifestError(TaError):
    """A file of Kubernetes manifests is missing, wrong, or uses what is not known here; the message names it."""


class ImageError(TaError):
    """The files of an image could not be put together; the message says which step failed, and ends with why."""


class StackError(TaError):
    """A local component could not be started, reached or stopped."""


class PortTakenError(StackError):
    """A port that a component needs is held by another process; the message names both."""


class KafkaSetupError(TaError):
    """A topic is missing, or its live settings differ from the declared ones."""


class SchemaError(TaError):
    """The schema registry refused a schema, or could not be asked."""


class ClickHouseError(TaError):
    """A migration or a query against ClickHouse failed."""


class FlinkError(TaError):
    """The Flink REST API refused a request or reported a failed job."""


class NoAnswerError(TaError):
    """A component did not answer, or has not yet done what was asked for: nothing is known of it. Ask again."""


class ClickHouseNoAnswerError(ClickHouseError, NoAnswerError):
    """ClickHouse did not answer, or not in time."""


class FlinkNoAnswerError(FlinkError, NoAnswerError):
    """Flink did not answer, or not yet."""


class FlinkNotFoundError(FlinkError):
    """Flink does not know what was asked about: a job that it has forgotten, or has only just taken."""


class DeployError(FlinkError):
    """A job was submitted and did not get to work; it was cancelled. `job_id` is Flink's."""

    def __init__(self, message: str, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(message)


class KubernetesError(FlinkError):
    """The API server refused a request, or the Flink operator reports a failure; the message names the object."""


class PodsBrokenError(KubernetesError):
    """The operator says that a pod of the job does not come up; it may yet, and then the operator says so."""


class KubernetesNoAnswerError(KubernetesError, FlinkNoAnswerError):
    """The API server did not answer, is not ready or is too busy; or the operator has not done its work yet."""


class ForbiddenError(KubernetesError):
    """The API server forbids it, or does not know who asks: nothing is known of what was asked about."""


class OwnedError(KubernetesError):
    """Somebody else owns a field that was to be changed, and it is left to them; the message names both."""


class LockError(TaError):
    """What only one may do is done by somebody else, or may be: a lock was refused, or could not be kept."""


class RolloutError(TaError):
    """A rollout was refused before it changed anything, or failed and was rolled back; the message says which."""


class S3Error(TaError):
    """S3 refused a request or could not be reached; the message names the bucket or object."""


class S3NoAnswerError(S3Error, NoAnswerError):
    """S3 could not be reached, or failed."""


class LogError(TaError):
    """What was asked of the logs is not known: a component, a level or a time; the message says what is."""


class MonitoringError(TaError):
    """The probe does not answer, or an alert could not be delivered; never with the webhook's URL in it."""


class PrometheusError(TaError):
    """Prometheus refused a query, or what answers is not Prometheus; the message names its URL, without a password."""


class PrometheusNoAnswerError(PrometheusError, NoAnswerError):
    """Prometheus could not be reached, or did not answer in time."""
