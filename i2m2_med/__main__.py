"""`python -m i2m2_med VERB …` is `i2m2 VERB …`."""

from i2m2_med.cli import run

run()
