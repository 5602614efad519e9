"""Pictures of a network: what it looks at, which classes look alike to it, how its tree routes them."""
