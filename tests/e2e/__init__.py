"""The product in a cluster, from outside: what a user types and gets."""
