"""The provisioner: puts a function's source and its dependencies into the volume that the runtime serves from."""
