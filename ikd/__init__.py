"""Networks that learn from their own explanations (2009.09140), in JAX."""
