"""What the parts of kubeless-py share: the API types, the Kubernetes client, names and labels."""
