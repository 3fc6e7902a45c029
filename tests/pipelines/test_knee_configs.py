"""Every shipped knee config trains one epoch on simulated volumes: all as shipped but for the sizes of image and networks."""

from pathlib import Path

import polars as pl
import pytest
from i2m2_med.pipelines import train

from i2m2_med.simulate.knee import write as knee
from i2m2_med.sources.fastmri.labels import reviewed_volumes

SIZE, COILS = 32, 3
CONFIGS = sorted(path.stem for path in (Path(__file__).parents[2] / "configs" / "runs").glob("knee_*.yaml"))


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Small volumes, single- and multi-coil, with a split that leaves none empty: by whether they have coils."""
    folders: dict[bool, Path] = {}
    for multi in (False, True):
        folders[multi] = tmp_path_factory.mktemp("knees") / "data"
        knee.simulate(
            folders[multi], volumes=16, slices=2, matrix=f"{2 * SIZE}x45", coils=COILS if multi else 1, prevalence=0.5
        )
        write_splits(folders[multi])
    return folders


def write_splits(folder: Path) -> None:
    """A third of the patients for each split, whole patients together; each third has some without fat suppression."""
    import h5py

    patients: dict[str, list[str]] = {}
    plain: set[str] = set()
    for name in reviewed_volumes(folder / "knee_file_list.csv"):
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
    ]
    step = next(n for n, block in enumerate(transforms) if block["_target_"].endswith("Reconstructd"))
    small = [f"modalities.transforms.{step}.size=[{SIZE},{SIZE}]", f"source.splits={folder / 'splits.csv'}"]
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
def test_one_epoch(config: str, data: dict[bool, Path]) -> None:
    made = train.main(config, set_=tuple(overrides(config, data[config == "knee_multicoil"])))
    assert len(made["runs"]) == 1
    assert {row["label"] for row in made["rows"]} >= {"abnormal", "meniscus_tear", "acl", "cartilage"}
