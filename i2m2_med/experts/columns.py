"""Encoders of columns of numbers and categories, as `samples/columns.py` lays them out: values or codes, then which are known."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from i2m2_med.samples.columns import FIRST

Columns = Float[Tensor, "batch two_columns"]


class Words(nn.Module):
    """Codes of categories → vectors, (batch, category, width): each category has words of its own; 0 is missing, 1 unknown."""

    def __init__(self, categories: int, levels: int, width: int) -> None:
        super().__init__()
        self.size = levels + FIRST
        self.vectors = nn.Embedding(max(categories, 1) * self.size, width)

    def forward(self, codes: Float[Tensor, "batch category"]) -> Float[Tensor, "batch category width"]:
        """Codes as floats → vectors; a code beyond the last is the unknown word's."""
        whole = codes.long()
        whole = torch.where((whole < 0) | (whole >= self.size), torch.ones_like(whole), whole)
        return self.vectors(whole + self.size * torch.arange(codes.shape[1], device=codes.device))


def parts_of(columns: Columns, numbers: int, categories: int) -> tuple[Tensor, Tensor, Tensor]:
    """(numbers, codes, known) of a tensor of columns. Raises ValueError for another number of columns."""
    width = numbers + categories
    if columns.shape[1] != 2 * width:
        raise ValueError(
            f"{numbers} numbers and {categories} categories are {2 * width} entries (values, then which are known), "
            f"but the columns have {columns.shape[1]}"
        )
    value, known = columns.split(width, dim=1)
    return value[:, :numbers], value[:, numbers:], known


class ColumnsEncoder(nn.Module):
    """Numbers, which are known, and words of categories → features: Linear → ReLU → dropout → Linear → ReLU.

    levels: words of a category that are told apart (`levels` of the source's modality).
    """

    def __init__(
        self,
        numbers: int,
        categories: int = 0,
        *,
        levels: int = 30,
        hidden: int = 32,
        width: int = 32,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.numbers, self.categories = numbers, categories
        self.features = width
        self.words = Words(categories, levels, 8)
        inputs = 2 * numbers + 9 * categories
        self.network = nn.Sequential(
            nn.Linear(inputs, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width), nn.ReLU()
        )

    def forward(self, columns: Columns) -> Float[Tensor, "batch width"]:
        """(batch, 2 · columns) → (batch, width)."""
        value, codes, known = parts_of(columns, self.numbers, self.categories)
        return self.network(torch.cat([value, known, self.words(codes).flatten(1)], dim=1))


class ColumnsTransformer(nn.Module):
    """FT-Transformer (Gorishniy, Rubachev, Khrulkov, Babenko: Revisiting Deep Learning Models for Tabular Data, NeurIPS 2021).

    Each column is a token: x W + b of a number, a word's vector of a category, and a vector of its own where it is missing; the
    features are those of the [CLS] token after pre-norm attention layers.
    """

    def __init__(
        self,
        numbers: int,
        categories: int = 0,
        *,
        levels: int = 30,
        width: int = 32,
        heads: int = 4,
        layers: int = 2,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        self.numbers, self.categories = numbers, categories
        self.features = width
        bound = width**-0.5
        tokens = numbers + categories
        self.weight = nn.Parameter(torch.empty(numbers, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(tokens, width).uniform_(-bound, bound))
        self.missing = nn.Parameter(torch.empty(tokens, width).uniform_(-bound, bound))
        self.cls = nn.Parameter(torch.empty(width).uniform_(-bound, bound))
        self.words = Words(categories, levels, width)
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)

    def forward(self, columns: Columns) -> Float[Tensor, "batch width"]:
        """(batch, 2 · columns) → (batch, width)."""
        value, codes, known = parts_of(columns, self.numbers, self.categories)
        tokens = torch.cat([value[..., None] * self.weight, self.words(codes)], dim=1) + self.bias
        tokens = torch.where(known[..., None] > 0, tokens, self.missing)
        cls = self.cls.expand(len(tokens), 1, -1)
        return self.layers(torch.cat([cls, tokens], dim=1))[:, 0]
