"""Who asks and what they may do: authentication, service account tokens, impersonation, RBAC and access reviews."""
