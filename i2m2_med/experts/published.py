"""Map our parameters to those of the published code (github divyam3897/I2M2 @ 7742765)."""

from collections.abc import Mapping

from torch import nn


def published_names(network: nn.Module, renamed: Mapping[str, str]) -> dict[str, str]:
    """Every name of the network's state, and the published name of the same tensor.

    renamed: our prefix → the published prefix; the longest one that fits wins, names without one are the same in both.
    """
    return {ours: _published(ours, renamed) for ours in network.state_dict()}


def _published(ours: str, renamed: Mapping[str, str]) -> str:
    fits = [prefix for prefix in renamed if ours.startswith(prefix)]
    if not fits:
        return ours
    longest = max(fits, key=len)
    return renamed[longest] + ours[len(longest) :]
