"""A model's experts by ONNX Runtime, the combination by torch: the same answers, faster on many CPUs.

Each expert is traced once per process with a free batch axis; which experts hear a sample is decided outside, so that an
absent modality costs nothing and a graph holds no branch.
"""

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.errors import ModelError, UserError
from i2m2_med.model import I2M2, Opinions
from i2m2_med.scoring.reading import Chunk


class OneArgument(nn.Module):
    """A network that takes its modalities as one argument: the exporter can't tell the axes of a free number of them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, modalities: tuple[Tensor, ...]) -> Tensor:
        """The network's logits."""
        return self.network(*modalities)


class OnnxBackend:
    """Runs a predictor's experts as ONNX graphs, made when an expert is first heard."""

    def __init__(self, predictor: Predictor) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError("--backend onnx needs ONNX Runtime: pip install 'i2m2-med[onnx]'") from error
        self.runtime: Any = onnxruntime
        self.model: I2M2 = predictor.model.cpu()
        self.sessions: dict[tuple[Any, ...], Any] = {}

    def __call__(self, chunk: Chunk) -> Opinions:
        """What the model and each expert say."""
        batch = chunk.batch()
        stacked: list[Tensor] = []
        heard: list[Tensor] = []
        for name in self.model.names:
            reads = self.model.reads[name]
            there = torch.stack([batch.present[modality] for modality in reads]).all(dim=0)
            said = torch.zeros((len(there), *self.model.shape))
            if bool(there.any()):
                inputs = [batch.inputs[modality][there].contiguous() for modality in reads]
                logits = torch.from_numpy(self.run(name, inputs)).reshape(-1, *self.model.shape)
                said[there] = logits.float().log_softmax(dim=-1)
            stacked.append(said)
            heard.append(there)
        with torch.inference_mode():
            combined = self.model.combiner(torch.stack(stacked), torch.stack(heard))
        return Opinions(combined, torch.stack(stacked), torch.stack(heard))

    def run(self, name: str, inputs: list[Tensor]) -> np.ndarray:
        """An expert's logits."""
        key = (name, *(tuple(tensor.shape[1:]) for tensor in inputs))
        if key not in self.sessions:
            self.sessions[key] = self.session(name, inputs)
        fed = {f"input{index}": tensor.numpy() for index, tensor in enumerate(inputs)}
        return self.sessions[key].run(None, fed)[0]

    def session(self, name: str, inputs: list[Tensor]) -> Any:
        """Trace one expert. Raises ModelError for a network that ONNX can't express."""
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        options.log_severity_level = 3
        twice = tuple(
            torch.cat([tensor[:1], tensor[:1]]) for tensor in inputs
        )  # a batch of one would be taken for fixed
        batch = torch.export.Dim("batch", min=1, max=65536)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                program = torch.onnx.export(
                    OneArgument(self.model.experts[name]).eval(),
                    (twice,),
                    dynamo=True,
                    input_names=[f"input{index}" for index in range(len(inputs))],
                    dynamic_shapes=(tuple({0: batch} for _ in inputs),),
                    verbose=False,
                )
            assert program is not None
            return self.runtime.InferenceSession(
                program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the exporter and the runtime raise kinds of their own
            raise ModelError(
                f"expert '{name}' can't be turned into ONNX ({type(error).__name__}); score with --backend torch"
            ) from error
