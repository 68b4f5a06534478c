"""Run a script of pipelines/ on a Ray cluster of two nodes made here: on_ray.py SCRIPT ARGUMENTS. The test starts it in
a network of its own, in which there is nothing but the loopback address."""

import runpy
import sys

if __name__ == "__main__":
    import ray
    from ray.cluster_utils import Cluster

    here = {"num_cpus": 1, "node_ip_address": "127.0.0.1"}
    cluster = Cluster(initialize_head=True, head_node_args={**here, "include_dashboard": False})
    try:
        cluster.add_node(**here)
        ray.init(address=cluster.address, _node_ip_address="127.0.0.1")
        assert sum(node["Alive"] for node in ray.nodes()) == 2
        runpy.run_path(sys.argv[1])["main"](sys.argv[2:])
        ray.shutdown()
    finally:
        cluster.shutdown()
