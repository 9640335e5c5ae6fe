"""What a Function becomes: pure functions from a Function and the configuration to the wanted objects."""
