"""Kernels that are worth their code on a CPU."""
