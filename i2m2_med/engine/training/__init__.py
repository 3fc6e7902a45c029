"""Experts and combiner trained, stage by stage."""
