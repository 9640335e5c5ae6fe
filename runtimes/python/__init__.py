"""The Python runtime: serves one `handler(event, context)` over HTTP, as docs/runtimes.md describes."""
