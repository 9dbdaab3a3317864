"""How the graph is cut into tasks: at a parallelism of 1 an exchange by key has nobody to exchange with.

The planner puts an exchange in front of every keyed operator. Each is a thread's boundary, and copies every tick twice.
One behind the source is worth it, because it uses a second core; the one between the deduplication of trades and their
windows is not.
"""

from __future__ import annotations

from typing import Any

from pyflink.datastream import StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway

_BY_KEY = "KeyGroupStreamPartitioner"


def execute(environment: StreamExecutionEnvironment, name: str) -> None:
    """Execute the job, without the exchanges it does not need."""
    environment._j_stream_execution_environment.execute(planned(environment, name))


def planned(environment: StreamExecutionEnvironment, name: str) -> Any:
    """The graph as it is submitted; the environment has given it away and is empty."""
    graph = environment._generate_stream_graph(clear_transformations=True, job_name=name)
    join(graph)
    return graph


def join(graph: Any) -> list[str]:
    """Make an exchange by key that comes right behind another one a plain call; returns the operators it is before."""
    joined = []
    for node in graph.getStreamNodes().toArray():
        edges = list(node.getInEdges())
        if len(edges) != 1 or _partitioner(edges[0]) != _BY_KEY or node.getParallelism() != 1:
            continue
        before = graph.getStreamNode(edges[0].getSourceId())
        if before.getParallelism() == 1 and _is_behind_an_exchange(graph, before):
            forward = get_gateway().jvm.org.apache.flink.streaming.runtime.partitioner.ForwardPartitioner()
            edges[0].setPartitioner(forward)
            joined.append(str(node.getOperatorName()))
    return joined


def _is_behind_an_exchange(graph: Any, node: Any) -> bool:
    """Whether the node's task begins with an exchange by key, and with nothing else."""
    edges = list(node.getInEdges())
    if len(edges) != 1:
        return False
    if _partitioner(edges[0]) == "ForwardPartitioner":
        return _is_behind_an_exchange(graph, graph.getStreamNode(edges[0].getSourceId()))
    return _partitioner(edges[0]) == _BY_KEY


def _partitioner(edge: Any) -> str:
    return str(edge.getPartitioner().getClass().getSimpleName())
