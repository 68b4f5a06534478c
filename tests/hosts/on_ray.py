"""Run the job on a Ray cluster of two nodes made here: on_ray.py CONFIG.json LOGS. The test starts it in a network of
its own, in which there is nothing but the loopback address."""

import json
import sys

if __name__ == "__main__":
    import ray
    from datatrove.executor import RayPipelineExecutor
    from ray.cluster_utils import Cluster

    from curation.datatrove import curate_executors

    with open(sys.argv[1], encoding="utf-8") as file:
        values = json.load(file)
    here = {"num_cpus": 1, "node_ip_address": "127.0.0.1"}
    cluster = Cluster(initialize_head=True, head_node_args={**here, "include_dashboard": False})
    try:
        cluster.add_node(**here)
        ray.init(address=cluster.address, _node_ip_address="127.0.0.1")
        assert sum(node["Alive"] for node in ray.nodes()) == 2
        options = {"executor": RayPipelineExecutor, "mem_per_cpu_gb": 1}
        curate_executors(values, logging_dir=sys.argv[2], tasks=2, **options)[-1].run()
        ray.shutdown()
    finally:
        cluster.shutdown()
