"""A node whose containers are processes: the pod loop, what runs pods as processes, and the kubelet API."""
