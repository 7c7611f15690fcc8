"""`python ray_cluster.py`: a Ray cluster of two nodes. It prints its address; a line on stdin takes the second node away."""

import sys

from ray.cluster_utils import Cluster

if __name__ == "__main__":
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "num_gpus": 0, "include_dashboard": False})
    node = cluster.add_node(num_cpus=2, num_gpus=0)
    cluster.wait_for_nodes()
    print(cluster.address, flush=True)
    if sys.stdin.readline():
        cluster.remove_node(node, allow_graceful=False)
        print("removed", flush=True)
        sys.stdin.read()
    cluster.shutdown()
