"""The scheduler: gives pods to nodes."""
