"""A trained model's answers: built, loaded, run over samples, also under other inputs."""
