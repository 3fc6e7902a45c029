"""A run's settings: typed, closed, read from YAML with line numbers."""
