"""Questions about pictures: what `i2m2 prepare` draws of them, and their shifts."""
