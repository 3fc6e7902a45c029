"""Tensor types and their axes, in one place.

Axis legend: batch = samples (slices or stays), expert = one predictor, label = findings, classes = outcomes of one
finding, coil = receiver coils, height/width = image rows and columns, hour = hours since prediction-window start,
channel = what is measured, chunk = piece of a patient's notes, token = sub-word of a chunk.
"""

from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

Logits = Float[Tensor, "batch label classes"]
LogProbs = Float[Tensor, "batch label classes"]  # each row of classes sums to one in probability
StackedLogProbs = Float[Tensor, "expert batch label classes"]
Present = Bool[Tensor, "expert batch"]  # False where a study lacks what the expert reads
Target = Int[Tensor, "batch label"]  # class index per label; -1 = unknown, masked out of the loss and of metrics
SoftTarget = Float[
    Tensor, "batch label classes"
]  # a score from 0 to 1 for every class; all 0 = unknown, or none of the classes
Image = Float[Tensor, "batch channel height width"]
KSpace = Complex[Tensor, "coil height width"]  # DC in the centre
Series = Float[Tensor, "batch hour channel"]
Static = Float[Tensor, "batch channel"]
Tokens = Int[Tensor, "batch chunk token"]  # 0 = padding
