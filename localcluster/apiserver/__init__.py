"""The API server: HTTPS, identity, rights, storage and the verbs of the Kubernetes API."""
