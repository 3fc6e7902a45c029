"""Derive `i2m2_med/config/allowed/*.json` from the signatures of the installed classes, for a reviewer to look through.

    python tests/config/signatures.py        (from the repository; rewrites the files)

An argument is listed where its annotation and name say which number, truth value, choice or name it is. All others (code, tensors,
readers, folders, devices, free text) are left out, and a class that needs one of them is left out whole. `NEVER` names classes that
look harmless and read or write files, fetch weights, print data, or take code by its name; and transforms that make something else
than one sample of modalities (several crops, points, boxes), which no model reads.
"""

import inspect
import json
import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from i2m2_med.config.kinds import CHOICES, Kind, judge

HOME = Path(__file__).parents[2] / "i2m2_med" / "config" / "allowed"

NEVER = re.compile(
    r"Lambda|Save|WriteFile|TorchVision|TorchIO|CuCIM|Cupy|DataStats|Invert|DeleteItems|FlattenSub|Ensemble|Decollate|ToPIL|ToDevice"
    r"|ApplyPending|^MapTransform|^Lazy|DataParallel|SyncBatch|^Module|Container|^RNNBase|^RNNCellBase|Bert|Transchex|MultiModal|MILModel"
    r"|TorchVisionFC|Perceptual|Adversarial|Jukebox|^LambdaLR|Multiplicative|^Optimizer|LRScheduler|NLLLoss2d|^LinearCross|^AdaptiveLog"
    r"|ChainedScheduler|SequentialLR|LBFGS|^EfficientNet$|HoVer|SimulateDelay|CutMix|MixUp|CutOut|^Pooler|DiNTS|SPADE|ReduceLROn"
    r"|^Parameter|^Sequential|ForegroundMask|EmbeddingBag|IntensityStats|^Generator|Critic|Discriminator|ControlNet|DiffusionModel|VQVAE|AutoencoderKL"
    r"|ProbNMS|Heatmap|ToIndices|BoundingRect|Points|Boxes|GridPatch|GridSplit|RandCropBy|CropSamples|WeightedCrop"
)

BY_HAND: dict[str, dict[str, Kind]] = {
    "monai.transforms.LoadImaged": {
        "keys": "key+",
        "reader": "reader?",
        "dtype": "dtype?",
        "image_only": "bool",
        "ensure_channel_first": "bool",
        "simple_keys": "bool",
        "allow_missing_keys": "bool",
    },
    "monai.transforms.SelectItemsd": {"keys": "key+", "allow_missing_keys": "bool"},
    "monai.transforms.ToMetaTensord": {"keys": "key+", "allow_missing_keys": "bool"},
    "i2m2_med.combiners.MeanOfExperts": {},
    "i2m2_med.samples.LoadWaveformd": {"keys": "key+", "leads": "count", "samples": "count"},
    **{
        f"monai.networks.nets.{name}": {
            "model_name": [f"resnet{depth}" for depth in (10, 18, 34, 50, 101, 152, 200)],
            "pretrained": "false!",
            "spatial_dims": "count",
            "in_channels": "count",
        }
        for name in ("ResNetEncoder", "ResNetFeatures")
    },
    **{
        f"torch.nn.{name}": {
            "input_size": "count",
            "hidden_size": "count",
            "num_layers": "count",
            "bias": "bool",
            "batch_first": "bool",
            "dropout": "share",
            "bidirectional": "bool",
        }
        for name in ("GRU", "LSTM", "RNN")
    },
    **{
        f"torch.nn.{name}": {}
        for name in ("Identity", "LogSigmoid", "Sigmoid", "Softmax2d", "Softsign", "Tanh", "Tanhshrink")
    },
}
"""Classes whose signature says nothing (`*args`), or says too much."""

OWN_LOSS = "i2m2_med.engine.training.loss.MaskedNLL"

NAMED: list[tuple[str, Kind | None]] = [
    (r"pretrained", "false!"),  # only where it is the default; see `kind_of`
    (
        r"^_|cache|device|progress|process_group|_fn$|func|writer|saver|reader|path|dir$|url|size_average|reduce$|_weight$|_random_samples",
        None,
    ),
    (r"^(model|network|encoder|encoder_layer|decoder_layer)$", "block"),
    (r"^encoders$", "block+"),
    (r"^(folder|weights)$", "place"),
    (
        r"^(keys|label_keys|names|refer_keys|sub_keys|heatmap_keys|ref_image_keys|mask_keys|visibility_keys|output_key)$",
        "key+",
    ),
    (r"(_key|postfix|prefix|^name|meta_keys|key_dst)$", "key"),
    (r"^output_postfixes$", "key+"),
    (r"^(picture|text)$", "key"),
    (r"^(act|act_name|acti_type|activation|last_act|out_activation)$", "act"),
    (r"^(norm|norm_name|norm_type)$", "norm"),
    (r"dtype", "dtype"),
    (r"^reduction$", "reduction"),
    (r"^padding_mode$", "border"),
    (r"(^|_)mode$", "interpolation"),
    (r"^block$", ["basic", "bottleneck"]),
    (r"^(approx)$", ["erf", "sampled", "scalespace"]),
    (r"^method$", ["symmetric", "end"]),
    (r"^data_type$", ["tensor", "numpy"]),
    (r"^size_mode$", ["all", "longest"]),
    (r"^axcodes$", ["RAS", "LPS", "RPI", "LAS", "SAR", "PLS", "RA", "LP"]),
    (r"^rotate_order$", ["XYZ", "ZYX"]),
    (r"^sort_fn$", ["random", "min", "max"]),
    (r"^kernel_type$", ["gaussian", "uniform", "rectangular", "triangular", "b-spline", "Laplace"]),
    (r"^ops$", ["mean", "median", "max", "min", "std"]),
    (r"^kernel$", ["mean", "laplace", "elliptical", "sharpen", "median", "gauss"]),
    (r"^(approximate)$", ["none", "tanh"]),
    (r"^nonlinearity$", ["tanh", "relu"]),
    (r"^(anneal_strategy)$", ["cos", "linear"]),
    (r"^(adjust_lr_fn)$", ["original", "match_rms_adamw"]),
    (r"^(backbone|model_name)$", [f"efficientnet-b{size}" for size in range(8)]),
    (r"^w_type$", ["square", "simple", "uniform"]),
    (r"^shortcut_type$", ["A", "B"]),
    (r"^upsample$", ["deconv", "nontrainable", "pixelshuffle"]),
    (r"^(pos_embed|pos_embed_type|decoder_pos_embed_type)$", ["none", "learnable", "sincos"]),
    (r"^proj_type$", ["conv", "perceptron"]),
    (r"(prob|^p|dropout.*|drop_out|.*_rate|momentum|alpha_dropout|label_smoothing|mask_ratio)$", "share"),
    (
        r"(spatial_size|roi_size|roi_scale|img_size|image_size|spatial_border|box_size|padding|output_padding|pad)$",
        "size",
    ),
    (
        r"(features|channels|kernel_size|strides?|groups|layers|heads?|hidden.*|width|depths?|classes|filters|dilation|planes|patch_size"
        r"|^labels|^experts|^pictures$|^tokens$|hours|rank|outputs|sizes?|^pool|widen|growth_rate|mlp_dim|d_model|dim_feedforward|embed(ding)?_dim|spatial_dims"
        r"|^blocks.*|^dim_head|^num_(samples|cells|patches|bins|experts))$",
        "count",
    ),
    (r"^(num_embeddings|vocabulary|num_tokens)$", "rows"),
    (
        r"^(T_max|T_0|total_iters|total_steps|step_size.*|milestones|seed|patience|max_iter|steps_per_epoch|epochs)$",
        "steps",
    ),
]
"""By the argument's name, first match: a word where the annotation says it is a word, a range where it says it is a number."""

OF_TRANSFORMS: list[tuple[str, str]] = [
    (r"^sigma", "sigma"),
    (r"^spacing$", "spacing"),
    (r"^(kernel_size|radius)$", "kernel"),
    (r"^(degree|order)$", "degree"),
    (r"^(repeats|times|to_onehot|num_cells|holes|max_holes|num_control_points|window_length|num_components)$", "few"),
]
"""Narrower ranges of transforms' numbers: what they compute grows with them, whatever the sample's size (samples/growth.py)."""

MODES: list[Kind] = [
    "interpolation",
    "border",
    "pad",
    ["deconv", "nontrainable", "pixelshuffle"],
    ["transpose", "nearest", "bilinear", "trilinear"],
    ["mean", "sum", "max"],
    ["cat", "add", "mul"],
]
"""What arguments called `mode` choose from: the first of these that has their default."""

NO_TEXT_IN_TORCH = {"dtype", "key"}
"""torch's own classes take no words for these."""

WORDS = {"block", "place", "key", "act", "norm", "dtype", "reduction", "border", "interpolation", "pad", "false"}


def kind_of(path: str, name: str, parameter: inspect.Parameter) -> Kind | None:
    """The kind of an argument by its name, annotation and default; None where it can't be given in a config."""
    said = annotation_of(parameter)
    found = next((kind for pattern, kind in NAMED if re.search(pattern, name)), "")
    if found is None:
        return None
    if found == "false!":
        return "false!" if parameter.default is True else None
    if get_origin(parameter.annotation) is Literal:
        return list(map(str, get_args(parameter.annotation)))
    literal = re.fullmatch(r"(?:typing\.)?Literal\[(.*)\]", said)
    if literal:
        return re.findall(r"'([^']*)'", literal[1])
    has_text = re.search(r"str|Str|Key|dtype|Dtype|^$|Module", said) is not None
    if path.startswith("torch.") and (str(found) in {*NO_TEXT_IN_TORCH, "act"}):
        return ["relu", "gelu"] if found == "act" else None
    if found in MODES and has_text:
        found = mode_of(parameter.default) or ""
    if isinstance(found, list) and has_text:
        return found if not isinstance(parameter.default, str) or str(parameter.default) in found else None
    word = str(found).rstrip("+")
    if word in WORDS and has_text:
        return marked(word, said, parameter)
    number = number_of(said, parameter.default, word)
    if number not in {"", "bool"} and path.startswith("monai.transforms."):
        number = next((narrow for pattern, narrow in OF_TRANSFORMS if re.search(pattern, name)), number)
    return marked(number, said, parameter) if number else None


def mode_of(default: Any) -> Kind | None:
    """The list of modes that an argument's default is one of; None where there is no such list."""
    first = default[0] if isinstance(default, tuple) else default
    said = str(getattr(first, "value", first)) if isinstance(first, str) else "nearest"
    return next((kind for kind in MODES if said in (CHOICES[kind] if isinstance(kind, str) else kind)), None)


def number_of(said: str, default: Any, found: str) -> str:
    """The word for a number or truth value, or '' where the annotation names neither."""
    said = re.sub(r"Sequence\[torch\.Tensor\]|torch\.Tensor|NdarrayOrTensor|Callable|np\.ndarray", "", said)
    if re.search(r"\bfloat\b", said) or (not said and type(default) is float):
        return found if found == "share" and in_share(default) else "number"
    if re.search(r"\bint\b", said) or (not said and type(default) is int):
        return found if found in {"size", "count", "rows", "steps"} and fits(found, default) else "int"
    return "bool" if re.search(r"\bbool\b", said) or (not said and type(default) is bool) else ""


def fits(found: str, default: Any) -> bool:
    """Whether the default lies in the range that the name suggests."""
    numbers = default if isinstance(default, tuple | list) else [default]
    low = {"size": -1, "count": 1, "rows": 1, "steps": 0}[found]
    return all(not isinstance(number, int) or number >= low for number in numbers)


def in_share(default: Any) -> bool:
    """Whether the default is a share, or there is none."""
    return not isinstance(default, int | float) or 0 <= default <= 1


def marked(word: str, said: str, parameter: inspect.Parameter) -> str:
    """The kind with its marks: lists, null."""
    nested = re.search(r"(Sequence|list|tuple)\[(Sequence|list|tuple)|dict\[", said, re.I) is not None
    listed = re.search(r"Sequence|list\[|tuple|Iterable|KeysCollection|Size", said) is not None
    lists = "++" if nested else "+" if listed else ""
    none = "?" if "None" in said or parameter.default is None else ""
    return f"{word}{none}" if word in {"act", "norm"} else f"{word}{lists}{none}"


def annotation_of(parameter: inspect.Parameter) -> str:
    """The annotation as text; '' where there is none."""
    annotation = parameter.annotation
    if annotation is inspect.Parameter.empty:
        return ""
    return (
        annotation if isinstance(annotation, str) else inspect.formatannotation(annotation).replace("NoneType", "None")
    )


def arguments_of(path: str, cls: type, given: frozenset[str]) -> dict[str, Kind] | None:
    """The arguments of a class that a config may give; None where it needs one that a config can't."""
    if path in BY_HAND:
        return BY_HAND[path]
    arguments: dict[str, Kind] = {}
    for name, parameter in inspect.signature(cls).parameters.items():
        if name in given or parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            continue
        kind = kind_of(path, name, parameter)
        if kind is not None and (not isinstance(parameter.default, str) or not judge(str(parameter.default), kind)):
            arguments[name] = kind
        elif parameter.default is parameter.empty:
            return None
    return arguments


def derive(home: Any, base: type, given: frozenset[str] = frozenset()) -> dict[str, dict[str, Kind]]:
    """Of each class of a module that is a `base`, the arguments; `given`: what the code passes itself."""
    derived: dict[str, dict[str, Kind]] = {}
    known: set[str] = set()
    names = getattr(home, "TRANSFORMS", None) or dir(home)
    for name in names:
        cls = getattr(home, name)
        path = f"{home.__name__}.{name}"
        if not inspect.isclass(cls) or not issubclass(cls, base) or name != cls.__name__ or name in known:
            continue
        if (found := arguments_of(path, cls, given)) is not None and (path in BY_HAND or not NEVER.search(name)):
            derived[path] = found
            known.add(name)
    return derived


def everything() -> dict[str, dict[str, dict[str, Kind]]]:
    """All lists by the name of their file."""
    import torch
    from monai import losses, transforms
    from monai.networks import nets
    from torch.nn.modules.loss import _Loss

    from i2m2_med import combiners, experts, samples

    module = torch.nn.Module
    layers = derive(torch.nn, module)
    of_torch = {name: found for name, found in layers.items() if name.endswith("Loss")}
    return {
        "transforms": derive(transforms, transforms.MapTransform),
        "networks": derive(nets, module),
        "layers": {name: found for name, found in layers.items() if name not in of_torch},
        "losses": derive(losses, _Loss) | of_torch | {OWN_LOSS: {}},
        "optimizers": derive(torch.optim, torch.optim.Optimizer, frozenset({"params", "lr"})),
        "schedulers": derive(torch.optim.lr_scheduler, torch.optim.lr_scheduler.LRScheduler, frozenset({"optimizer"})),
        "own": derive(experts, module) | derive(combiners, module) | derive(samples, object),
    }


def write(name: str, found: dict[str, dict[str, Kind]]) -> None:
    """One list as JSON, a class a line."""
    lines = [f"  {json.dumps(path)}: {json.dumps(arguments)}" for path, arguments in sorted(found.items())]
    (HOME / f"{name}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    HOME.mkdir(exist_ok=True)
    for listed, classes in everything().items():
        write(listed, classes)
