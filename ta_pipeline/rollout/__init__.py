"""A rollout: plan, check, savepoint, deploy, verify, record; and back again by itself when it cannot be verified."""
