"""One token per modality, of one width, for the networks that let modalities attend to one another."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

Here = Bool[Tensor, "modality batch"]
"""False where a sample lacks a modality."""
TokenRows = Float[Tensor, "batch modality width"]


class ModalityTokens(nn.Module):
    """Each modality's encoder, a linear layer to the shared width, and a learnt embedding that says which modality it is.

    encoders: in the order in which the expert reads its modalities; each says how many `features` it gives per sample.
    """

    def __init__(self, encoders: Sequence[nn.Module], width: int) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.project = nn.ModuleList(nn.Linear(int(encoder.features), width) for encoder in encoders)  # type: ignore[arg-type]
        self.which = nn.Parameter(0.02 * torch.randn(len(encoders), width))

    def forward(self, modalities: Sequence[Tensor], here: Here | None = None) -> TokenRows:
        """Each (batch, …) as its encoder takes it → (batch, modality, width); what is absent is not encoded, its token is zero."""
        if len(modalities) != len(self.encoders):
            raise ValueError(f"{len(self.encoders)} encoders were given {len(modalities)} modalities")
        return torch.stack([self.token(at, x, here) for at, x in enumerate(modalities)], dim=1)

    def token(self, at: int, modality: Tensor, here: Here | None) -> Float[Tensor, "batch width"]:
        """The token of one modality."""
        if here is None or bool(here[at].all()):
            return self.project[at](self.encoders[at](modality)) + self.which[at]
        tokens = self.which.new_zeros(len(modality), self.which.shape[1])
        if not bool(here[at].any()):
            return tokens
        rows = here[at].nonzero()[:, 0]
        encoded = self.project[at](self.encoders[at](modality[rows])) + self.which[at]
        return tokens.to(encoded.dtype).index_copy(0, rows, encoded)
