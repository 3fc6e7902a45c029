"""The two-layer perceptron that the small published networks end in."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu


class MLP(nn.Module):
    """Linear → ReLU → Linear, without dropout."""

    def __init__(self, features: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(features, hidden)
        self.fc2 = nn.Linear(hidden, outputs)

    def forward(self, features: Float[Tensor, "batch features"]) -> Float[Tensor, "batch outputs"]:
        """(batch, features) → (batch, outputs)."""
        return self.fc2(relu(self.fc(features)))
