"""The verbs of the API on stored objects: reading, watching, writing, deleting, and the scale and pod subresources."""
