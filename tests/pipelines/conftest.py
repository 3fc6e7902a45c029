"""Small simulated tables, made once; training them takes a second or two."""

from pathlib import Path

import pytest

from i2m2_med.simulate import mimic3


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MIMIC-III tables of 150 simulated patients."""
    out = tmp_path_factory.mktemp("simulated") / "mimic3"
    mimic3.simulate(out, patients=150, seed=3)
    return out
