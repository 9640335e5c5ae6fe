"""A small Kubernetes for a laptop: an API server, the workload controllers and a node that runs pods as processes.

It knows nothing of functions; see docs/local-cluster.md for what is supported.
"""
