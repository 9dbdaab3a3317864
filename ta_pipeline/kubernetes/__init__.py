"""The job on Kubernetes: a FlinkDeployment that is handed to the Flink Kubernetes Operator."""
