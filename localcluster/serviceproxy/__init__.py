"""ClusterIPs and NodePorts of a node: a proxy on layer 4 with round robin over ready endpoints."""
