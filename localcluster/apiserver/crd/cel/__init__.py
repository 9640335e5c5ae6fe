"""CEL, the language of x-kubernetes-validations: parsed and evaluated by Google's library, checked here.

The library knows nothing of Kubernetes' schemas, so that types, unknown fields and estimated costs are worked out on
its syntax tree (`checker`, `cost`), with the wording of cel-go, which the real server uses. Nothing in this package is
imported before a definition has rules.

https://kubernetes.io/docs/reference/using-api/cel/
"""
