"""The workload controllers: as much of kube-controller-manager and kube-scheduler as the local cluster needs."""
