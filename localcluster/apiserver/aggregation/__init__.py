"""APIs that other servers serve: found through APIServices, watched over, and proxied."""
