"""A draft as a commented config."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from i2m2_med.documents import Dumper
from i2m2_med.sources.table.drafting import Draft

COLUMNS = "clinical"
EPOCHS = 20


def config_text(made: Draft, out: Path) -> str:
    """The whole config as YAML, with the reason for each column."""
    return "\n".join([*head(made, out), *source(made), *rest(made)]) + "\n"


def head(made: Draft, out: Path) -> Iterator[str]:
    """The command, and what every column was taken for."""
    yield f"# i2m2 compare {out}"
    yield f"# Made by i2m2 init from {made.table.name}. What each column was taken for, and why; change what is wrong:"
    width = max(len(name) for name, _, _ in made.reasons)
    for name, role, why in made.reasons:
        yield f"#   {one_line(name):<{width}}  {one_line(role)}: {one_line(why)}"


def one_line(text: str) -> str:
    """A text that stays in its comment."""
    return " ".join(text.split())[:120]


def source(made: Draft) -> Iterator[str]:
    """The source block."""
    yield written({"task": f"{made.table.stem}: {made.label}"})
    yield "source:"
    place = {"name": "table", "root": str(made.table.parent), "table": made.table.name, "patient": made.patient}
    yield indented(place, 2)
    if made.study:
        yield indented({"study": made.study}, 2)
    label = made.label if made.label.isidentifier() else "label"
    yield "  labels:  # several of the same classes may stand here; an empty cell is unknown"
    yield indented({label: {"column": made.label, "classes": made.classes}}, 4)
    if made.split:
        yield indented({"split": made.split}, 2)
    if made.groups:
        yield "  # subgroups of the report"
        yield indented({"groups": made.groups}, 2)
    yield "  modalities:  # an empty cell is a modality that was not acquired"
    for name, block in made.modalities.items():
        yield indented({name: block}, 4)
    if made.inputs:
        yield indented({COLUMNS: {"columns": made.inputs}}, 4)


def rest(made: Draft) -> Iterator[str]:
    """Experts, transforms and training."""
    images = any("image" in block for block in made.modalities.values())
    if images:
        yield "modalities: {cache: disk}  # images: RAS, one size, 1st to 99th percentile to 0 … 1; say transforms to read them otherwise"
    yield "experts: auto  # one per modality, and the joint one; the recorded config has them in full"
    yield "training:"
    yield f"  {{epochs: {EPOCHS}, batch: {8 if images else 16}, learning_rate: 1e-3, clip: 1,"
    yield f"   scheduler: {{_target_: torch.optim.lr_scheduler.CosineAnnealingLR, T_max: {EPOCHS}}}}}"
    yield "evaluation: {primary: {metric: auroc}}"
    yield "seeds: [0, 1, 2]"


def written(content: Mapping[str, object]) -> str:
    """Plain values as YAML, a line for each name."""
    return "\n".join(f"{flow(name)}: {flow(value)}" for name, value in content.items())


def flow(value: object) -> str:
    """A value in one line, as `i2m2_med.documents` reads it."""
    text = yaml.dump(
        value, Dumper=Dumper, sort_keys=False, allow_unicode=True, default_flow_style=True, width=1_000_000
    )
    return text.removesuffix("...\n").strip()


def indented(content: Mapping[str, object], by: int) -> str:
    """YAML, set in."""
    return "\n".join(" " * by + line for line in written(content).splitlines())
