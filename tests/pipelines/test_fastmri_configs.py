"""Every shipped config of fastMRI trains one epoch on simulated volumes: all as shipped but for the sizes of image and networks."""

from pathlib import Path
from typing import Literal

import polars as pl
import pytest
from i2m2_med.pipelines import train

from i2m2_med.config.reader import load_config
from i2m2_med.simulate.brain import write as brain
from i2m2_med.simulate.knee import write as knee
from i2m2_med.sources.fastmri.labels import reviewed_volumes
from i2m2_med.sources.fastmri.source import Source

SIZE, COILS = 32, 3
RUNS = Path(__file__).parents[2] / "configs" / "runs"
CONFIGS = sorted(path.stem for pattern in ("knee_*.yaml", "*brain_*.yaml") for path in RUNS.glob(pattern))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """Small volumes with a split that leaves none empty: by anatomy, and whether they have coils."""
    folders: dict[tuple[str, str], Path] = {}
    for anatomy, coils in (("knee", "single"), ("knee", "multi"), ("brain", "multi")):
        folder = folders[anatomy, coils] = tmp_path_factory.mktemp(anatomy) / "data"
        simulate, few = {"knee": (knee.simulate, 0.5), "brain": (brain.simulate, 0.3)}[anatomy]
        n_coils = COILS if coils == "multi" else 1
        simulate(folder, volumes=16, slices=2, matrix=f"{2 * SIZE}x45", coils=n_coils, prevalence=few)
        write_splits(folder, anatomy)
    return folders


def write_splits(folder: Path, anatomy: Literal["knee", "brain"]) -> None:
    """A third of the patients for each split, whole patients together; each third has some of knees without fat suppression."""
    import h5py

    patients: dict[str, list[str]] = {}
    plain: set[str] = set()
    for name in reviewed_volumes(folder / f"{anatomy}_file_list.csv", anatomy):
        with h5py.File(next(folder.rglob(f"{name}.h5"))) as file:
            patients.setdefault(file.attrs["patient_id"], []).append(name)
            plain |= {file.attrs["patient_id"]} if file.attrs["acquisition"] == "CORPD_FBK" else set()
    order = sorted(patients, key=lambda patient: patient not in plain)
    rows = [(name, ("train", "valid", "test")[n % 3]) for n, one in enumerate(order) for name in patients[one]]
    pl.DataFrame(rows, schema=["file", "split"], orient="row").write_csv(folder / "splits.csv")


def overrides(config: str, folder: Path) -> list[str]:
    """Where the data are, and sizes and a length for a test."""
    from i2m2_med.config.yaml_source import read_values

    content = read_values(config, [f"source.root={folder}"]).content
    transforms = content["modalities"]["transforms"]
    narrow = [
        f"experts.{name}.network.{'widen=1' if 'WideResNet' in expert['network']['_target_'] else 'width=8'}"
        for name, expert in content["experts"].items()
        if "ResNet" in expert["network"]["_target_"]
    ]
    columns = content["modalities"].get("columns", {})
    small = [f"modalities.columns.{name}.table={folder / Path(one['table']).name}" for name, one in columns.items()]
    step = next(n for n, block in enumerate(transforms) if block["_target_"].endswith("Reconstructd"))
    small += [f"modalities.transforms.{step}.size=[{SIZE},{SIZE}]", f"source.splits={folder / 'splits.csv'}"]
    return [
        f"source.root={folder}",
        *small,
        *narrow,
        "training.epochs=1",
        "training.workers=0",
        "seeds=[0]",
        "evaluation.bootstrap=0",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("config", CONFIGS)
def test_one_epoch(config: str, data: dict[tuple[str, str], Path]) -> None:
    source = load_config(config, ["source.root=."])[0].source
    made = train.main(config, set_=tuple(overrides(config, data[source.anatomy, source.coils])))
    assert len(made["runs"]) == 1
    assert {row["label"] for row in made["rows"]} >= set(Source(source).labels.names)
