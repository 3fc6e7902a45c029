"""What `torchrun` tells each of the processes that it starts to work together, by their environment."""

import os

from i2m2_med.errors import UserError


def started() -> int:
    """Return how many processes torchrun started to work together; 1 where it did not. Raises UserError for what can't be."""
    count = number("WORLD_SIZE", 1)
    if count < 1:
        raise UserError(f"WORLD_SIZE={count} is no number of processes; {HELP}")
    if count > 1 and not 0 <= number("RANK", -1) < count:
        own = os.environ.get("RANK")
        raise UserError(f"WORLD_SIZE={count} and {f'RANK={own}' if own else 'no RANK'} do not go together; {HELP}")
    return count


def local_rank() -> int:
    """Return the number of this process among those on this machine; 0 where it is alone, whatever the environment says of it."""
    return number("LOCAL_RANK", 0) if started() > 1 else 0


HELP = "unset it for one process, or start several by torchrun or --processes"


def number(name: str, default: int) -> int:
    """Return a variable's number; where it is not set or empty, `default`. Raises UserError where it holds something else."""
    text = os.environ.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.removeprefix("-").isdecimal()):
        raise UserError(f"the environment says {name}={text[:20]!r}, which is no number; {HELP}")
    return int(text)
