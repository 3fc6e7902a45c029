"""I2MoE: a mixture of fusion experts, one for each kind of interaction between modalities."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, triplet_margin_loss

from i2m2_med.experts.mlp import MLP
from i2m2_med.experts.tokens import ModalityTokens, TokenRows
from i2m2_med.types import Logits

Outputs = Float[Tensor, "pass batch outputs"]
"""Of one fusion expert: pass 0 with every modality, pass i with modality i replaced."""


class Fusion(nn.Module):
    """One fusion expert: a transformer over the tokens, its states side by side, a linear layer."""

    def __init__(self, modalities: int, outputs: int, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout, batch_first=True)
        self.transformer = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Linear(modalities * width, outputs)

    def forward(self, tokens: TokenRows) -> Float[Tensor, "batch outputs"]:
        """(batch, modality, width) → (batch, outputs)."""
        return self.head(self.transformer(tokens).flatten(1))


class I2MoE(nn.Module):
    """I2MoE (Xin et al., "I2MoE: Interpretable Multimodal Interaction-aware Mixture-of-Experts", ICML 2025).

        logits = Σₖ wₖ(z) fₖ(z),   w(z) = softmax(MLP(z₁ ⊕ … ⊕ z_m)),   k = 1 … m + 2

    Fusion experts 1 … m are for what is unique to each modality, m + 1 for synergy, m + 2 for redundancy. While it is trained each is
    asked again with the token of each modality i replaced by Gaussian noise, z̃ᵢ, and gets a loss of its own:

        unique k    mean over i ≠ k of the triplet loss of f(z): near f(z̃ᵢ), away from f(z̃ₖ), margin 1
        synergy     mean over i of cos(f(z), f(z̃ᵢ))
        redundancy  mean over i of 1 − cos(f(z), f(z̃ᵢ))

    `interaction` × their mean over the m + 2 experts is added to the loss. It reads every modality: a study that lacks one is not
    judged by it. In training mode it returns (logits, that addition), else logits.
    """

    def __init__(
        self,
        encoders: Sequence[nn.Module],
        *,
        width: int = 32,
        heads: int = 2,
        layers: int = 1,
        dropout: float = 0.1,
        hidden: int = 32,
        interaction: float = 0.1,
        labels: int = 1,
        classes: int = 2,
    ) -> None:
        super().__init__()
        if len(encoders) < 2:
            raise ValueError("interactions take two modalities or more")
        self.labels, self.interaction = labels, interaction
        self.tokens = ModalityTokens(encoders, width)
        experts = len(encoders) + 2
        outputs = labels * classes
        self.fusions = nn.ModuleList(
            Fusion(len(encoders), outputs, width, heads, layers, dropout) for _ in range(experts)
        )
        self.reweight = MLP(len(encoders) * width, hidden, experts)

    def forward(self, *modalities: Tensor) -> Logits | tuple[Logits, Tensor]:
        """Each (batch, …) as its encoder takes it → (batch, label, classes), in training mode with the loss to be added, a scalar."""
        tokens = self.tokens(modalities)
        passes = [tokens, *(replaced(tokens, at) for at in range(tokens.shape[1]))] if self.training else [tokens]
        answers = [torch.stack([fusion(each) for each in passes]) for fusion in self.fusions]
        mixed = torch.einsum("bk,kbo->bo", self.weights(tokens), torch.stack([answer[0] for answer in answers]))
        logits = mixed.unflatten(1, (self.labels, -1))
        return (logits, self.interaction * interaction_losses(answers).mean()) if self.training else logits

    def weights(self, tokens: TokenRows) -> Float[Tensor, "batch expert"]:
        """How much each fusion expert counts for a sample; they sum to one."""
        return self.reweight(tokens.flatten(1)).softmax(dim=-1)


def replaced(tokens: TokenRows, at: int) -> TokenRows:
    """The same tokens with standard Gaussian noise in place of one modality's."""
    others = tokens.clone()
    others[:, at] = torch.randn_like(tokens[:, at])
    return others


def interaction_losses(answers: Sequence[Outputs]) -> Float[Tensor, "expert"]:
    """The loss of each fusion expert, uniqueness of each modality first, then synergy, then redundancy."""
    *unique, synergy, redundancy = answers
    losses = [uniqueness_loss(answer, at) for at, answer in enumerate(unique)]
    alike = [cosine_similarity(answer[:1], answer[1:], dim=-1).mean() for answer in (synergy, redundancy)]
    return torch.stack([*losses, alike[0], 1 - alike[1]])


def uniqueness_loss(answer: Outputs, own: int) -> Tensor:
    """Triplet loss: the answer stays where another modality is replaced, and moves where its own is."""
    others = [triplet_margin_loss(answer[0], one, answer[1 + own]) for at, one in enumerate(answer[1:]) if at != own]
    return torch.stack(others).mean()
