"""`i2m2 look STUDY`: what a model will see of a study, slice by slice and modality by modality, as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from i2m2_med.config.reader import load_config
from i2m2_med.console import say, table
from i2m2_med.errors import SourceError
from i2m2_med.files import replace_file

from .arguments import Overrides

if TYPE_CHECKING:
    from i2m2_med.config.run import RunConfig

SHOWN = 6
"""Slices in the picture, spread over the study."""


def main(
    study: Path, out: Path = Path("look.png"), *, model: str | None = None, config: str = "", set_: Overrides = ()
) -> dict[str, Any]:
    """Draw a study as it comes out of a model's transforms: cropped, scaled, turned, in the model's channels.

    Parameters
    ----------
    study
        A study folder, or a file that is one.
    out
        The picture (PNG) to write.
    model
        A run, models:/name@alias, bundle or model folder, as of `i2m2 score`.
    config
        Instead of a model, the config that one will be trained with.
    """
    if bool(model) == bool(config):
        raise SourceError("say what will read the study: --model RUN, or --config NAME for a model to come")
    run = run_of(model) if model else load_config(config, set_)[0]
    if not study.exists():
        raise SourceError(f"{study} is not there; name a study folder or file")
    records = opened(run, study)
    images = [seen(run, record) for record in spread(records)]
    names = [name for name in read_by(run) if any(name in image for image in images)]
    pictured = [name for name in names if all(name in image and image[name].ndim == 3 for image in images)]
    if not pictured:
        raise SourceError(f"the model reads {', '.join(read_by(run))}; the study holds no image of them")
    return draw(images, pictured, out, study.name)


def run_of(model: str) -> "RunConfig":
    """The config of a trained model."""
    from i2m2_med.engine.prediction.model_files import read_portable
    from i2m2_med.scoring.open_model import open_model

    return read_portable(open_model(model).folder / "config.yaml")


def opened(run: "RunConfig", study: Path) -> list[dict[str, Any]]:
    """The study's records, as scoring opens it."""
    from i2m2_med.samples.preparing import open_source

    return open_source(run).study(study).records.to_dicts()


def spread(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A few from first to last."""
    last = len(records) - 1
    return [records[at] for at in sorted({round(step * last / max(SHOWN - 1, 1)) for step in range(SHOWN)})]


def seen(run: "RunConfig", record: Mapping[str, Any]) -> dict[str, Any]:
    """One record through the config's transforms."""
    from i2m2_med.samples.cohort import compose

    transform = compose(run, "transforms")
    return dict(record if transform is None else transform(dict(record)))


def read_by(run: "RunConfig") -> list[str]:
    """Modalities that experts read."""
    return list(dict.fromkeys(name for expert in run.experts.values() for name in expert.reads))


def label(name: str, channel: int, n_channels: int) -> str:
    """Return the caption of a row; a phase of one channel is in radians, of two it is cosine and sine."""
    if n_channels > 1:
        return f"{name} {channel + 1}"
    return "phase (rad)" if name == "phase" else name


def draw(images: list[dict[str, Any]], names: list[str], out: Path, title: str) -> dict[str, Any]:
    """Write the picture: a row for each channel of each modality."""
    import numpy as np

    from i2m2_med.samples.pictures import draw_rows, place_of

    stacks = {name: np.stack([np.asarray(image[name]) for image in images]) for name in names}
    rows = [
        (label(name, channel, values.shape[1]), values[:, channel])
        for name, values in stacks.items()
        for channel in range(values.shape[1])
    ]
    place = place_of(images[0])
    with replace_file(out) as beside:
        draw_rows(rows, [int(image["item"]) for image in images], beside, f"What the model sees of {title}", place)
    ranges = [[name, list(values.shape[1:]), f"{values.min():.3g} … {values.max():.3g}"] for name, values in rows]
    table("Model input", ["channel", "rows × columns", "values"], ranges)
    say(f"picture in {out}; next: i2m2 score STUDIES OUT --model MODEL, where it looks right")
    about = {name: list(values.shape) for name, values in stacks.items()}
    return {"picture": str(out), "inputs": about, "pixel_mm": place.pixel_mm, "toward": place.toward}
