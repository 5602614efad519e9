"""Experiments as ml_collections configs; a package, so that no other one called configs takes its place."""
