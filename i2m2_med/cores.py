"""Cores: how many this process may keep busy."""


def usable_cores() -> int:
    """Return the cores that this process may use: those it is bound to, or what its container's share comes to where that is fewer.

    `os.cpu_count` says those of the machine, of which a container, a Slurm job or `taskset` may give few.
    """
    from joblib import cpu_count  # asks for affinity and for the quota of control groups of both versions

    return cpu_count()
