"""The folder that holds a project's store, prepared data and checkpoints: `./i2m2_work`, or `$I2M2_WORK`."""

import os
from pathlib import Path


def workspace() -> Path:
    """Return the workspace's absolute path; whoever writes there makes it."""
    return Path(os.environ.get("I2M2_WORK", "i2m2_work")).absolute()
