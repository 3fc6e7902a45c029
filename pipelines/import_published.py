"""`i2m2 import-published CHECKPOINT --network SYSTEM OUT`: a state dict of the published code → our weights, one file per expert."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2m2_med.console import say, table
from i2m2_med.errors import ModelError
from i2m2_med.files import replace_folder, sha256_of, write_json

if TYPE_CHECKING:
    from torch import Tensor

    from i2m2_med.experts.checkpoint import Imported, PublishedExpert


def main(checkpoint: Path, out: Path, /, *, network: str, expert: str | None = None) -> dict[str, Any]:
    """Turn a checkpoint of the published code into weights that `training.warm_start: OUT` reads.

    Parameters
    ----------
    checkpoint
        A state dict saved with torch.save; whole pickled modules are refused.
    out
        New folder: `<expert>.safetensors` for each expert found, and `imported.json`, which says what was mapped.
    network
        Which of the published systems it is of (`configs/published.yaml` lists them).
    expert
        The one expert that a checkpoint without prefixes (`model_imag.`, `unimodal_0.` …) holds.
    """
    from i2m2_med.config.run import nearest
    from i2m2_med.experts.checkpoint import published_systems, read_state_dict

    systems = published_systems()
    if network not in systems:
        raise ModelError(f"--network {network} is not one of the published systems{nearest(network, systems)}")
    experts = systems[network] if expert is None else (bare(systems[network], network, expert),)
    imported, left_out = import_experts(experts, read_state_dict(checkpoint))
    if not imported:
        prefixes = ", ".join(published.prefix for published in experts)
        why = (
            "; ".join(left_out.values()) or f"no parameter begins with {prefixes} (name the one it holds with --expert)"
        )
        raise ModelError(f"{checkpoint.name} gives no {network} expert: {why}")
    summary = {
        "checkpoint": checkpoint.name,
        "sha256": sha256_of(checkpoint),
        "network": network,
        "experts": {name: {"mapped": one.mapped, "unused": one.unused} for name, one in imported.items()},
        "left_out": left_out,
    }
    write_weights(out, imported, summary)
    show(imported, left_out, out)
    return summary | {"out": str(out)}


def bare(experts: "tuple[PublishedExpert, ...]", network: str, expert: str) -> "PublishedExpert":
    """Return the published expert of that name, in a checkpoint that holds it alone."""
    known = {published.expert: published for published in experts}
    if expert not in known:
        raise ModelError(f"--expert {expert}: the {network} network has {', '.join(known)}.")
    return known[expert]._replace(prefix=known[expert].alone)


def import_experts(
    experts: "tuple[PublishedExpert, ...]", state: "dict[str, Tensor]"
) -> "tuple[dict[str, Imported], dict[str, str]]":
    """Experts found in the state dict, and those that it holds in part only, with the reason."""
    from i2m2_med.experts.checkpoint import import_expert

    imported: dict[str, Imported] = {}
    left_out: dict[str, str] = {}
    for published in experts:
        try:
            matched = import_expert(published, state)
        except ModelError as error:
            left_out[published.expert] = str(error)
            continue
        if matched is not None:
            imported[published.expert] = matched
    return imported, left_out


def write_weights(out: Path, imported: "dict[str, Imported]", summary: dict[str, Any]) -> None:
    """`<expert>.safetensors` and `imported.json`, whole or not at all."""
    from safetensors.torch import save_file

    with replace_folder(out) as folder:
        for name, one in imported.items():
            save_file(one.weights, folder / f"{name}.safetensors")
        write_json(folder / "imported.json", summary)


def show(imported: "dict[str, Imported]", left_out: dict[str, str], out: Path) -> None:
    """Print a table of the imported experts, the experts that were left out, and where the weights are."""
    rows = [[name, len(one.mapped), ", ".join(one.unused) or "–"] for name, one in imported.items()]
    table("Imported", ["expert", "tensors", "published, never used"], rows)
    for name, why in left_out.items():
        say(f"left out: {name}: {why}")
    say(f"weights in {out}; next: i2m2 train CONFIG -s training.warm_start={out}")
