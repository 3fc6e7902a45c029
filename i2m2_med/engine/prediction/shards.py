"""How the rows of each batch are shared among processes that work on one model together."""

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Shards(NamedTuple):
    """The shard of one process: of every batch a part as large as any other's, in the order of the batch.

    >>> [Shards(rank, 3).rows([4, 9, 2, 7]) for rank in range(3)]  # two rows each: the last has none of its own
    [[4, 9], [2, 7], [4, 4]]
    """

    rank: int = 0
    size: int = 1
    group: Any = None
    """The processes that have the other shards; None: all that there are."""

    def rows(self, batch: list[int]) -> list[int]:
        """Return this process's rows, filled up with the batch's first row where there are too few."""
        each = -(-len(batch) // self.size)
        own = batch[self.rank * each : (self.rank + 1) * each]
        return own + batch[:1] * (each - len(own))

    def places(self, n_rows: int) -> Tensor:
        """Return where in a batch of `n_rows` this process's rows stand, (row,); from `n_rows` on they only fill up."""
        each = -(-n_rows // self.size)
        return torch.arange(each) + self.rank * each

    def gathered(self, own: Tensor, axis: int = 0) -> Tensor:
        """Return the shards of all processes as one along `axis`; only this process's own is a part of its graph."""
        if self.size == 1:
            return own
        import ignite.distributed as idist

        own = own.movedim(axis, 0).contiguous()
        parts = list(torch.as_tensor(idist.all_gather(own.detach(), group=self.group)).split(len(own)))
        parts[self.rank] = own
        return torch.cat(parts).movedim(0, axis)


ALONE = Shards()
"""One process, which has all rows."""
