"""Processes, the fork server and Ray: who reads and predicts."""
