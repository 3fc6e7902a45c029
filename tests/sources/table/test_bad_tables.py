"""Tables as strangers keep them: one clear line, or a counted refusal, for each way to be wrong; never a patient taken for two."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from i2m2_med.errors import SourceError
from i2m2_med.sources.source import Flow, Progress
from i2m2_med.sources.table import Settings, Source
from i2m2_med.sources.table.reading import read_table

from .cohorts import SETTINGS, settings, write_cohort

Change = Callable[[Path, pl.DataFrame], Any]
N = 24


def only(*names: str) -> dict[str, Any]:
    return {"modalities": {name: SETTINGS["modalities"][name] for name in names}}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cohort")
    write_cohort(root, N)
    return root


@pytest.fixture
def cohort(written: Path, tmp_path: Path) -> Path:
    for entry in ("cohort.csv", "labs.csv"):
        (tmp_path / entry).write_bytes((written / entry).read_bytes())
    (tmp_path / "img").mkdir()
    for path in (written / "img").iterdir():
        os.link(path, tmp_path / "img" / path.name)
    return tmp_path


def ingest(root: Path, flow: Flow, **changed: Any) -> tuple[pl.DataFrame, dict[str, np.ndarray]]:
    source = Source(Settings.model_validate(settings(root, **changed)))
    (root / "prepared").mkdir(exist_ok=True)
    source.files()
    records = source.ingest(root / "prepared", root / "cache", flow, Progress())
    return records, dict(source.arrays(root / "prepared"))


def cells(**columns: Any) -> Change:
    """Change columns: a list of cells, or {row: cell}."""

    def change(root: Path, table: pl.DataFrame) -> None:
        for name, given in columns.items():
            own = table[name].to_list() if name in table.columns else [None] * table.height
            new = [given.get(at, cell) for at, cell in enumerate(own)] if isinstance(given, dict) else given
            table = table.with_columns(pl.Series(name, new, dtype=pl.String))
        table.write_csv(root / "cohort.csv")

    return change


def written_as(make: Callable[[pl.DataFrame], bytes]) -> Change:
    return lambda root, table: (root / "cohort.csv").write_bytes(make(table))


def labs(*rows: str) -> Change:
    return lambda root, _: (root / "labs.csv").write_text(
        "\n".join(["patient_id,hour,item,value", *rows]) + "\n", encoding="utf-8"
    )


def both(*changes: Change) -> Change:
    return lambda root, table: [change(root, table) for change in changes]


def ring_and_pipe(root: Path, table: pl.DataFrame) -> None:
    (root / "a.nii").symlink_to(root / "b.nii")
    (root / "b.nii").symlink_to(root / "a.nii")
    os.mkfifo(root / "pipe.nii")
    (root / "zero.nii").symlink_to("/dev/zero")
    cells(t1_path={0: "a.nii", 1: "pipe.nii", 2: "zero.nii"})(root, table)


def long_text(root: Path, table: pl.DataFrame) -> None:
    (root / "long.txt").write_text("word " * 2_000_000, encoding="utf-8")
    cells(report_text=["long.txt", *[None] * (N - 1)])(root, table)


def many_levels(root: Path, table: pl.DataFrame) -> None:
    wide = pl.concat([table] * 4200).with_columns(pl.int_range(pl.len()).cast(pl.String).alias("patient_id"))
    wide.with_columns(sex="w" + pl.col("patient_id")).write_csv(root / "cohort.csv")


def workbook(column: str, cell: Any) -> Change:
    def change(root: Path, table: pl.DataFrame) -> None:
        from openpyxl import Workbook

        book = Workbook()
        sheet = book.active
        sheet.append(table.columns)
        for row in table.with_columns(pl.lit(None).alias(column)).iter_rows():
            sheet.append([cell if name == column else value for name, value in zip(table.columns, row, strict=True)])
        book.save(root / "cohort.xlsx")

    return change


def nothing(root: Path, _: pl.DataFrame) -> None:
    (root / "flat.png").write_bytes(b"")
    Image.new("L", (9, 9)).save(root / "grey.png")
    cells(t1_path={1: "flat.png", 2: "grey.png"})(root, pl.read_csv(root / "cohort.csv", infer_schema=False))


FILES = {"modalities": {"report": {**SETTINGS["modalities"]["report"], "files": True}}}
EXCEL = {"table": "cohort.xlsx", **only("clinical")}
REFUSED: dict[str, tuple[Change, dict[str, Any], str]] = {
    "UTF-16": (written_as(lambda t: t.write_csv().encode("utf-16")), only("clinical"), "is not UTF-8 text"),
    "two columns of a name": (
        written_as(lambda t: t.write_csv().replace("mmse", "age", 1).encode()),
        only("clinical"),
        "has two columns 'age'; rename one",
    ),
    "a text cut in two by a line break": (
        written_as(lambda t: t.write_csv().replace("patient is alert", "patient is\nalert", 1).encode()),
        only("clinical"),
        "has fewer cells than the header; put texts with line breaks into quotes",
    ),
    "a quote that never ends": (
        written_as(lambda t: (t.write_csv() + 'p99,"ad,,1,2,f,x,y,z\n').encode()),
        only("clinical"),
        "a quote or a sign is wrong",
    ),
    "names in two cases": (cells(patient_id={2: "P001"}), only("clinical"), "rows 3 and 4 have a 'patient_id' that differs"),
    "names with and without .0": (
        cells(patient_id=["1", "1.0", *map(str, range(5, 3 + N))]),
        only("clinical"),
        "rows 2 and 3 have a 'patient_id' that differs from another only in case, leading zeros, '.0'",
    ),
    "a name with a sign that nobody sees": (cells(patient_id={2: "p001\u200b"}), only("clinical"), "rows 3 and 4"),
    "a series whose names lost their zeros": (
        both(cells(patient_id=[f"{n:03d}" for n in range(N)]), labs("1,1,crp,3", "2,1,crp,4", "003,1,crp,4")),
        only("labs"),
        "labs.csv: 2 'patient_id' differ from those of cohort.csv only in case",
    ),
    "classes in two cases": (cells(diagnosis=["Control", "AD"] * 12), only("clinical"), r"none of the classes of 'dx' \(control, ad\)"),
    "a number beyond all numbers": (cells(age={1: "1e300"}), only("clinical"), r"'age' holds a number beyond 1e\+100"),
    "decimal commas that can't be told": (cells(age=["61,5", "61.5"] * 12), only("clinical"), "commas are decimal can't be told"),
    "rings, pipes and devices": (ring_and_pipe, only("t1"), "3 of 21 files that it names can't be used"),
    "an empty picture, and a flat one among volumes": (nothing, only("t1"), r"flat\.png is no picture"),
    "a category of 10^5 words": (many_levels, only("clinical"), "'sex' looks like an identifier or a free text"),
    "a text of 10 MB in a cell": (cells(report_text={1: "word " * 2_000_000}), only("report"), "put long texts into files"),
    "a text file of 10 MB": (long_text, FILES, r"long\.txt has 9\.5 MiB; a text has 1 at most"),
    "formulas that nobody computed": (workbook("age", "=1+1"), EXCEL, "'age' holds formulas that were never computed"),
    "Excel's errors": (workbook("age", "#DIV/0!"), EXCEL, "24 of 24 cells of 'age' are no numbers"),
    "two zones": (
        labs("p001,2150-01-02T03:30:00+02:00,crp,7", "p001,2150-01-02 04:30:00,crp,9"),
        only("labs"),
        r"the times of 'hour' are of no zone and zone \+02:00; write them in one zone",
    ),
    "hours among dates": (labs("p001,2150-01-02 00:00:00,crp,7", "p001,1,crp,9"), only("labs"), "numbers stand where times should"),
    "no time at all": (labs("p001,,crp,7", "p002,,crp,9"), only("labs"), "no measurement falls into the first 6 hours"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_one_line(cohort: Path, name: str):
    change, changed, why = REFUSED[name]
    change(cohort, pl.read_csv(cohort / "cohort.csv", infer_schema=False))
    with pytest.raises(SourceError, match=why):
        ingest(cohort, Flow(), **changed)


def test_look_alikes_that_are_meant_are_allowed(cohort: Path):
    cells(patient_id={2: "P001"})(cohort, pl.read_csv(cohort / "cohort.csv", infer_schema=False))
    records, _ = ingest(cohort, Flow(), allow=["patient_id"], **only("clinical"))
    assert records["patient"][1:3].to_list() == ["p001", "P001"]


def test_names_keep_their_leading_zeros_and_lose_a_floats_point(cohort: Path):
    table = pl.read_csv(cohort / "cohort.csv", infer_schema=False)
    cells(patient_id=[f"{n:03d}" for n in range(N)])(cohort, table)
    assert ingest(cohort, Flow(), **only("clinical"))[0]["patient"][:2].to_list() == ["000", "001"]
    floats = table.with_columns(patient_id=pl.int_range(pl.len()).cast(pl.Float64), age=pl.lit(61.25))
    floats.write_parquet(cohort / "a.parquet")
    read = read_table(cohort / "a.parquet")
    assert read["patient_id"].to_list() == [str(n) for n in range(N)]
    assert read["age"][0] == "61.25"


def test_odd_names_of_columns_are_names(cohort: Path):
    odd = {"age": 'a "ge;\n x', "mmse": "mm,se"}
    table = pl.read_csv(cohort / "cohort.csv", infer_schema=False)
    table.rename(odd).write_csv(cohort / "cohort.csv")
    block = {"columns": list(odd.values()), "categories": []}
    _, arrays = ingest(cohort, Flow(), modalities={"c": block})
    np.testing.assert_allclose(arrays["c"][:, 1], table["mmse"].cast(pl.Float64))


def test_measurements_before_the_start_or_without_a_time_are_counted(cohort: Path):
    labs("p001,-3,crp,7", "p001,,crp,8", "p001,1,crp,9")(cohort, pl.DataFrame())
    flow = Flow()
    _, arrays = ingest(cohort, flow, **only("labs"))
    assert arrays["labs"][0, :, 2].tolist() == [0, 1, 0, 0, 0, 0]
    counts = flow.audits["labs: measurements"]
    assert (counts["read"], counts["without a time"], counts["in the window and of its items"]) == (3, 1, 1)


def test_a_column_that_training_has_nothing_of_is_refused(cohort: Path):
    cells(age=[None] * 20 + ["60"] * 4)(cohort, pl.read_csv(cohort / "cohort.csv", infer_schema=False))
    records, arrays = ingest(cohort, Flow(), **only("clinical"))
    source = Source(Settings.model_validate(settings(cohort, **only("clinical"))))
    with pytest.raises(SourceError, match="'age' is empty in every training row"):
        source.audits(records.with_columns(split=pl.Series(["train"] * 20 + ["test"] * 4)), arrays)


def test_a_start_of_another_zone_is_refused(cohort: Path):
    labs("p001,2150-01-02T03:30:00Z,crp,7")(cohort, pl.DataFrame())
    table = pl.read_csv(cohort / "cohort.csv").with_columns(admitted=pl.lit("2150-01-02 01:00:00"))
    table.write_csv(cohort / "cohort.csv")
    block = {**SETTINGS["modalities"]["labs"], "start": "admitted"}
    with pytest.raises(SourceError, match=r"'hour' is of zone \+00:00, 'admitted' of cohort.csv is of no zone"):
        ingest(cohort, Flow(), modalities={"labs": block})


@pytest.mark.slow
def test_a_category_of_many_words_that_is_meant_is_cut_to_its_most_frequent(cohort: Path):
    many_levels(cohort, pl.read_csv(cohort / "cohort.csv", infer_schema=False))
    records, arrays = ingest(cohort, Flow(), allow=["sex"], **only("clinical"))
    assert len(records) == 4200 * N
    assert len(np.unique(arrays["clinical"][:, 2])) == 4200 * N
