"""CustomResourceDefinitions: what they may declare, and how the objects of the resources that they declare behave."""
