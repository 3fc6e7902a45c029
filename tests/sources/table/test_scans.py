"""K-space in a table: one slice of each file, through fastMRI's transforms; what is wrong with it is one line."""

import shutil
from pathlib import Path
from typing import Any

import fastmri
import numpy as np
import polars as pl
import pytest
import torch
from fastmri.data.transforms import center_crop

from i2m2_med.config.reader import validate
from i2m2_med.config.yaml_source import Values
from i2m2_med.errors import SourceError
from i2m2_med.samples.cohort import compose
from i2m2_med.simulate.knee import write as knee
from i2m2_med.sources.source import Flow, Progress
from i2m2_med.sources.table import Settings, Source, complete

SIZE = 24


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three forms of k-space, a row each, an empty cell among them."""
    root = tmp_path_factory.mktemp("scans")
    knee.simulate(root / "knees", volumes=3, slices=3, matrix="48x31", seed=3)
    rng = np.random.default_rng(0)
    for number in range(2):
        raw = (rng.normal(size=(2, 3, 40, 32)) + 1j * rng.normal(size=(2, 3, 40, 32))).astype(np.complex64)
        np.save(root / f"{number}.npy", raw)
    cfl = (rng.normal(size=(40, 32)) + 1j * rng.normal(size=(40, 32))).astype(np.complex64)
    cfl.T.tofile(root / "a.cfl")
    (root / "a.hdr").write_text("# Dimensions\n40 32 1 1\n", encoding="utf-8")
    named = [*sorted(str(path.relative_to(root)) for path in root.rglob("*.h5")), "0.npy", "1.npy", "a.cfl"]
    cells = [*named[:5], None, named[5]]
    rows = {"who": [f"p{n}" for n in range(len(cells))], "scan": cells, "age": [str(60 + n) for n in range(len(cells))]}
    table = pl.DataFrame({**rows, "dx": ["a", "b"] * 3 + ["a"], "at": ["0", "1", "2", "0", "1", "0", "0"]})
    table.write_csv(root / "cohort.csv")
    return root


def config(root: Path, **scan: Any) -> dict[str, Any]:
    source = {
        "name": "table",
        "root": str(root),
        "table": "cohort.csv",
        "patient": "who",
        "labels": {"dx": {"column": "dx", "classes": ["a", "b"]}},
        "modalities": {"raw": {"kspace": "scan", "size": [SIZE, SIZE], **scan}, "clinical": {"columns": ["age"]}},
    }
    content = {"task": "t", "source": source, "experts": "auto"}
    return complete(content, Settings.model_validate(source))


def ingest(root: Path, out: Path, flow: Flow | None = None, **scan: Any) -> tuple[Source, pl.DataFrame]:
    source = Source(Settings.model_validate(config(root, **scan)["source"]))
    source.files()
    return source, source.ingest(out, out / "cache", flow or Flow(), Progress())


def test_each_row_is_the_slice_that_is_meant(written: Path, tmp_path: Path):
    middle = ingest(written, tmp_path)[1]
    assert middle["_slice"].to_list() == [1, 1, 1, 1, 1, None, 0]
    assert middle["has_phase"].to_list() == [True] * 5 + [False, True]
    assert ingest(written, tmp_path, slice="at")[1]["_slice"].to_list() == [0, 1, 2, 0, 1, None, 0]
    with pytest.raises(SourceError, match=r"row 5: 0\.npy has 2 slices, not a slice 2") as refusal:
        ingest(written, tmp_path, slice=2)
    assert len(str(refusal.value).splitlines()) == 5  # two of two slices, one of one


def test_files_are_all_that_belong_to_them(written: Path, tmp_path: Path):
    source, _ = ingest(written, tmp_path)
    assert {path.name for path in source.files()} >= {"a.cfl", "a.hdr", "0.npy", "cohort.csv"}


def test_the_defaults_make_magnitude_and_phase_as_fastmri_does(written: Path, tmp_path: Path):
    run = validate(Values("config", config(written), {}))
    assert run.experts.keys() == {"clinical", "magnitude", "phase", "joint"}
    records = ingest(written, tmp_path)[1]
    transform = compose(run, "transforms")
    made = dict(transform(records.row(3, named=True)))
    coils = torch.view_as_real(torch.from_numpy(np.load(written / "0.npy")[1]))
    expected = center_crop(fastmri.rss(fastmri.complex_abs(fastmri.ifft2c(coils))), (SIZE, SIZE))
    ratio = made["magnitude"][0] / expected
    torch.testing.assert_close(ratio, torch.full_like(ratio, float(ratio.mean())), rtol=1e-3, atol=0)
    assert made["phase"].shape == (1, SIZE, SIZE)
    nothing = dict(transform(records.row(5, named=True)))
    assert not {"magnitude", "phase"} & nothing.keys()


def test_a_study_to_score_is_a_row_or_a_folder(written: Path, tmp_path: Path):
    source, records = ingest(written, tmp_path)
    row = source.study(written / "cohort.csv" / "6").records
    (tmp_path / "study").mkdir()
    for name in ("a.cfl", "a.hdr"):
        shutil.copy(written / name, tmp_path / "study" / f"raw{Path(name).suffix}")
    folder = source.study(tmp_path / "study").records
    for made in (row, folder):
        assert made["_scale"][0] == records["_scale"][6]
        assert made["has_magnitude"][0]
    (tmp_path / "study" / "raw.hdr").unlink()
    with pytest.raises(SourceError, match=r"raw\.cfl needs its raw\.hdr"):
        source.study(tmp_path / "study")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("0.npy", np.ones((4, 4), np.float32), "complex numbers are needed"),
        ("0.npy", np.full((4, 4), np.nan, np.complex64), "holds NaN or infinite"),
        ("0.npy", np.zeros((1, 4, 4), np.complex64), "is all zero"),
        ("scan.nii", np.ones((4, 4)), r"is no k-space \(\.h5, \.npy, \.cfl\)"),
    ],
)
def test_what_is_no_kspace_is_refused(written: Path, tmp_path: Path, name: str, content: np.ndarray, why: str):
    root = tmp_path / "copy"
    shutil.copytree(written, root)
    with (root / name).open("wb") as file:
        np.save(file, content)
    table = pl.read_csv(root / "cohort.csv", infer_schema=False)
    table.with_columns(pl.col("scan").str.replace("0.npy", name, literal=True)).write_csv(root / "cohort.csv")
    with pytest.raises(SourceError, match=why):
        ingest(root, tmp_path)
    if name == "0.npy":
        flow = Flow(skip_bad=True)
        records = ingest(root, tmp_path, flow)[1]
        assert len(records) == 6
        assert [one["name"] for one in flow.refused] == ["row 5"]
