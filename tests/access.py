"""Who may ask what of the API server: one table, for the rendered Roles, for real requests and for the guide."""

from __future__ import annotations

_READ_ONLY = {"get", "list", "watch"}
ACCESS: dict[str, dict[tuple[str, str], set[str]]] = {
    # Flink 2.2: native mode makes and ends pods; high availability keeps its pointers in ConfigMaps, and elects by them
    # (create, get, patch; update where it checks the version); the JobManager's Deployment owns the TaskManagers.
    "torghut-ta": {
        ("", "pods"): {*_READ_ONLY, "create", "delete"},
        ("", "configmaps"): {*_READ_ONLY, "create", "update", "patch", "delete"},
        ("apps", "deployments"): {"get"},
        ("apps", "deployments/finalizers"): {"update"},
    },
    # dagster-k8s: a Job for each run, which it deletes with its pod when the run is cancelled; what its failure says.
    "torghut-ta-dagster": {
        ("batch", "jobs"): {"list", "create", "delete"},
        ("batch", "jobs/status"): {"get"},
        ("", "pods"): {"get", "list", "delete"},
        ("", "pods/log"): {"get"},
        ("", "events"): {"list"},
    },
    # The runtime of ta_pipeline/kubernetes.
    "torghut-ta-platform": {
        ("flink.apache.org", "flinkdeployments"): {"get", "create", "patch", "delete"},
        ("flink.apache.org", "flinkstatesnapshots"): {"get", "create"},
        # A rollout in a Job of its own, and its locks.
        ("batch", "jobs"): {"list", "create"},
        ("", "podtemplates"): {"get"},
        ("coordination.k8s.io", "leases"): {"get", "create", "update"},
        ("", "pods"): {"list"},
        ("", "events"): {"list"},
    },
}
"""By account, which has a Role of its name: the verbs on each resource of each API group, and no more."""
