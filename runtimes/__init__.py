"""What runs inside function pods: the provisioner (init containers) and one package a language."""
