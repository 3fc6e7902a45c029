"""Runs in MLflow, through outages."""
