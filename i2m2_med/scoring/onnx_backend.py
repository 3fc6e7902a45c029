"""A model's experts by ONNX Runtime, the combination by torch: the same answers, faster on many CPUs.

Each expert is traced once per process with a free batch axis; which experts read a sample is decided outside, so that an
absent modality costs nothing and a graph holds no branch. Experts that judge whatever is there are asked by torch.
"""

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.errors import ModelError, UserError, extra_hint
from i2m2_med.model import I2M2, Opinions
from i2m2_med.samples.batch import Batch
from i2m2_med.scoring.reading import Chunk

SESSIONS = 64
"""Graphs kept, of an expert and a shape each: studies of ever other shapes must not fill the memory."""


class OneArgument(nn.Module):
    """A network that takes its modalities as one argument: the exporter can't tell the axes of a free number of them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, modalities: tuple[Tensor, ...]) -> Tensor:
        """Return the network's logits."""
        return self.network(*modalities)


class OnnxBackend:
    """Runs a predictor's experts as ONNX graphs, made when an expert is first used."""

    def __init__(self, predictor: Predictor) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError(f"--backend onnx needs ONNX Runtime: {extra_hint('onnx')}") from error
        if not isinstance(predictor.model, I2M2):
            raise UserError(
                "--backend onnx runs one model, this one is the ensemble of all folds: score with --backend torch"
            )
        self.runtime: Any = onnxruntime
        self.model: I2M2 = predictor.model.cpu().eval()
        self.sessions: dict[tuple[Any, ...], Any] = {}

    def __call__(self, chunk: Chunk) -> Opinions:
        """Return the log-probabilities of the model and of each expert."""
        batch = chunk.batch()
        stacked: list[Tensor] = []
        present: list[Tensor] = []
        for name in self.model.names:
            log_probs, there = self.ask(name, batch)
            stacked.append(log_probs)
            present.append(there)
        with torch.inference_mode():
            combined = self.model.combiner(torch.stack(stacked), torch.stack(present))
        return Opinions(combined, torch.stack(stacked), torch.stack(present))

    def ask(self, name: str, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return an expert's log-probabilities, zero where it is absent, and where it is there."""
        if name in self.model.lenient:
            with torch.inference_mode():
                return self.model.ask(name, batch.inputs, batch.present)[:2]
        reads = self.model.reads[name]
        there = torch.stack([batch.present[modality] for modality in reads]).all(dim=0)
        log_probs = torch.zeros((len(there), *self.model.shape))
        if bool(there.any()):
            inputs = [batch.inputs[modality][there].contiguous() for modality in reads]
            logits = torch.from_numpy(self.run(name, inputs)).reshape(-1, *self.model.shape)
            log_probs[there] = logits.float().log_softmax(dim=-1)
        return log_probs, there

    def run(self, name: str, inputs: list[Tensor]) -> np.ndarray:
        """Return an expert's logits."""
        key = (name, *(tuple(tensor.shape[1:]) for tensor in inputs))
        if key not in self.sessions:
            while len(self.sessions) >= SESSIONS:
                self.sessions.pop(next(iter(self.sessions)))
            self.sessions[key] = self.session(name, inputs)
        inputs_by_name = {f"input{index}": tensor.numpy() for index, tensor in enumerate(inputs)}
        return self.sessions[key].run(None, inputs_by_name)[0]

    def session(self, name: str, inputs: list[Tensor]) -> Any:
        """Trace one expert and return its ONNX session. Raises ModelError for a network that ONNX can't express."""
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
