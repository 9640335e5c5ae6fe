"""What the served kinds look like, as OpenAPI documents of version 2 and 3."""
