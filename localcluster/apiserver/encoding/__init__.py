"""Bodies: JSON, YAML and protobuf to objects, with the types and the words of Go's decoder."""
