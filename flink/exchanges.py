"""How the graph is cut into tasks: at a parallelism of 1 an exchange by key has nobody to exchange with.

The planner puts an exchange in front of every keyed operator. Each is a thread's boundary, and copies every tick twice.
One behind the source is worth it, because it uses a second core; the one between the deduplication of trades and their
windows is not.
"""

from __future__ import annotations

from typing import Any

from pyflink.datastream import StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway

_JOINED = {"final.window"}
"""Uids of the operators that run in the task in front of them."""


def execute(environment: StreamExecutionEnvironment, name: str) -> None:
    """Execute the job, without the exchanges it does not need."""
    graph = environment._generate_stream_graph(clear_transformations=True, job_name=name)
    join(graph)
    environment._j_stream_execution_environment.execute(graph)


def join(graph: Any) -> None:
    """Make the exchanges in front of `_JOINED` plain calls, where both sides have a parallelism of 1."""
    jvm = get_gateway().jvm
    for node in graph.getStreamNodes().toArray():
        if node.getTransformationUID() not in _JOINED:
            continue
        for edge in node.getInEdges():
            if node.getParallelism() == graph.getStreamNode(edge.getSourceId()).getParallelism() == 1:
                edge.setPartitioner(jvm.org.apache.flink.streaming.runtime.partitioner.ForwardPartitioner())
