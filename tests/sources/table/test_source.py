"""A table's records and arrays: what is there, what is absent, and what is refused in one line."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from i2m2_med.errors import SourceError
from i2m2_med.samples.columns import encoded, fit_columns
from i2m2_med.sources.source import Flow, Progress
from i2m2_med.sources.table import Settings, Source

from .cohorts import SETTINGS, settings, write_cohort


def source(root: Path, **changed: Any) -> Source:
    return Source(Settings.model_validate(settings(root, **changed)))


def ingest(root: Path, flow: Flow | None = None, **changed: Any) -> tuple[pl.DataFrame, dict[str, np.ndarray]]:
    made = source(root, **changed)
    (root / "prepared").mkdir(exist_ok=True)
    made.files()
    records = made.ingest(root / "prepared", root / "cache", flow or Flow(), Progress())
    return records, dict(made.arrays(root / "prepared"))


def only(*names: str) -> dict[str, Any]:
    return {"modalities": {name: SETTINGS["modalities"][name] for name in names}}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cohort")
    write_cohort(root)
    return root


@pytest.fixture
def cohort(written: Path, tmp_path: Path) -> Path:
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_records_and_arrays_are_the_rows(cohort: Path):
    table = pl.read_csv(cohort / "cohort.csv", infer_schema=False)
    records, arrays = ingest(cohort)
    assert records["patient"].to_list() == table["patient_id"].to_list()
    assert records["label_dx"].to_list() == [0, 1] * 12
    assert records["has_t1"].to_list() == table["t1_path"].is_not_null().to_list()
    assert records["has_report"].to_list() == table["report_text"].is_not_null().to_list()
    assert records["has_labs"].to_list() == [number % 3 != 0 for number in range(24)]
    assert records["group_site"].to_list() == table["site"].to_list()
    ages = table["age"].cast(pl.Float64).to_numpy()
    np.testing.assert_allclose(arrays["clinical"][:, 0], ages)
    assert arrays["labs"].shape == (24, 6, 6)
    assert arrays["ecg"].shape == (24, 2, 64)


def test_a_series_carries_the_last_value_and_says_when(cohort: Path):
    _, arrays = ingest(cohort, **only("labs"))
    crp = arrays["labs"][0, :, 0]  # rows without a modality are left out: p001, of label 1, measured at 0.5 and 3.2
    np.testing.assert_allclose(crp, [8.5, 8.5, 8.5, 11.2, 11.2, 11.2], rtol=1e-6)
    assert arrays["labs"][0, :, 2].tolist() == [1, 0, 0, 1, 0, 0]
    np.testing.assert_allclose(arrays["labs"][0, :, 4] * 6, [0, 1, 2, 0, 1, 2], rtol=1e-6)
    assert np.isnan(arrays["labs"][0, :, 1]).all(), "hb was measured outside of the window only"


def test_dates_count_from_the_start_that_a_column_says(cohort: Path):
    (cohort / "labs.csv").write_text(
        "patient_id,hour,item,value\np001,2150-01-02 03:30:00,crp,7\np002,2150-01-05 00:00:00,crp,9\n", encoding="utf-8"
    )
    table = pl.read_csv(cohort / "cohort.csv").with_columns(admitted=pl.lit("2150-01-02 01:00:00"))
    table.write_csv(cohort / "cohort.csv")
    block = {**SETTINGS["modalities"]["labs"], "start": "admitted"}
    records, arrays = ingest(cohort, modalities={"labs": block})
    assert records["patient"].to_list() == ["p001"], "the other's measurement is three days later"
    assert arrays["labs"][0, :, 2].tolist() == [0, 0, 1, 0, 0, 0]


def test_every_form_of_table_says_the_same(cohort: Path):
    table = pl.read_csv(cohort / "cohort.csv", infer_schema=False)
    wanted, _ = ingest(cohort, **only("t1", "clinical", "report"))
    table.write_csv(cohort / "a.tsv", separator="\t")
    german = table.with_columns(pl.col("age").str.replace(".", ",", literal=True))
    (cohort / "b.csv").write_bytes(b"\xef\xbb\xbf" + german.write_csv(separator=";").encode())
    table.with_columns(pl.col("age").cast(pl.Float64), pl.col("mmse").cast(pl.Int64)).write_parquet(
        cohort / "c.parquet"
    )
    write_excel(table, cohort / "d.xlsx")
    write_datalist(table, cohort / "e.json")
    for name in ("a.tsv", "b.csv", "c.parquet", "d.xlsx", "e.json"):
        records, arrays = ingest(cohort, table=name, **only("t1", "clinical", "report"))
        assert records.drop("study").equals(wanted.drop("study")), name
        assert np.isfinite(arrays["clinical"][:, 0]).sum() == 19, name


def write_excel(table: pl.DataFrame, path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.append(table.columns)
    for row in table.with_columns(pl.col("age").cast(pl.Float64), pl.col("mmse").cast(pl.Int64)).iter_rows():
        sheet.append(row)
    book.create_sheet("notes")
    book.save(path)


def write_datalist(table: pl.DataFrame, path: Path) -> None:
    import json

    rows = [{name: cell for name, cell in row.items() if cell is not None} for row in table.to_dicts()]
    path.write_text(json.dumps({"training": rows, "numTraining": len(rows)}), encoding="utf-8")


def test_words_are_learnt_from_training_alone():
    raw = np.array([[1.0, 10], [3.0, 20], [np.nan, 10], [np.nan, np.nan], [100.0, 30]])
    state = fit_columns(raw[:4], n_categories=1, n_levels=5)
    made = encoded(raw, state)
    assert state["mean"] == [2, 0]
    assert state["levels"] == [None, [10, 20]]
    np.testing.assert_allclose(made[:3], [[-1, 2, 1, 1], [1, 3, 1, 1], [0, 2, 0, 1]])
    assert np.isnan(made[3]).all(), "a row of which nothing is known is absent"
    assert made[4].tolist() == [98, 1, 1, 1], "a word that training never saw is the code 1"
    rare = fit_columns(np.array([[1.0], [1.0], [2.0]]), n_categories=1, n_levels=1)
    assert encoded(np.array([[1.0], [2.0]]), rare)[:, 0].tolist() == [2, 1], "a rarer word than those told apart too"


def test_a_split_of_the_table_holds(cohort: Path):
    table = pl.read_csv(cohort / "cohort.csv")
    fold = ["Training", "validation", "TEST"] * 8
    table.with_columns(fold=pl.Series(fold)).write_csv(cohort / "cohort.csv")
    records, _ = ingest(cohort, split={"column": "fold"})
    assert records["split"].to_list() == ["train", "valid", "test"] * 8
    table.with_columns(fold=pl.Series([0, 1, 2] * 8)).write_csv(cohort / "cohort.csv")
    records, _ = ingest(cohort, split={"column": "fold", "valid": 1, "test": [2]})
    assert records["split"].to_list() == ["train", "valid", "test"] * 8


def changed(root: Path, **columns: Any) -> None:
    """Change columns of the table: a list of cells, or {row: cell}."""
    table = pl.read_csv(root / "cohort.csv", infer_schema=False)
    for name, cells in columns.items():
        own = table[name].to_list() if name in table.columns else [None] * table.height
        own = [cells.get(at, cell) for at, cell in enumerate(own)] if isinstance(cells, dict) else cells
        table = table.with_columns(pl.Series(name, own, dtype=pl.String))
    table.write_csv(root / "cohort.csv")


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "no patient": ({"patient_id": {3: None}}, {}, "row 5 have no 'patient_id'"),
    "a class that is none": ({"diagnosis": {4: "AD?"}}, {}, r"row 6 have a 'diagnosis' that is none of the classes of 'dx' \(control, ad\)"),
    "a study twice": ({"sid": [str(n % 20) for n in range(24)]}, {"study": "sid"}, "rows 2, 3, 4, 5, 22, 23, 24 and 25 have a 'sid'"),
    "one file, two patients": ({"t1_path": {2: "img/p001.nii.gz"}}, {}, "rows 3 and 4 name the same file for two patients"),
    "missing files": ({"t1_path": {1: "img/gone.nii.gz", 2: "../out.nii"}}, {}, "2 of 44 files"),
    "a patient in two splits": (
        {"patient_id": {1: "p000"}, "fold": ["train", "test", "valid"] * 8},
        {"split": {"column": "fold"}},
        "rows 2 and 3 put 1 patient into more than one split",
    ),
    "a split of other words": ({"fold": ["1"] * 24}, {"split": {"column": "fold"}}, "none of train, valid, test"),
    "a row without split": ({"fold": [*["train"] * 23, None]}, {"split": {"column": "fold"}}, "row 25 have no 'fold'"),
    "numbers that are none": ({"age": {3: "about 60", 4: "60+"}}, {}, r"2 of 19 cells of 'age' are no numbers, such as"),
    "dates as input": ({"age": ["2150-01-02"] * 24}, {}, "'age' holds dates"),
    "names as input": ({"sex": [f"name {n}" for n in range(24)]}, {}, "'sex' looks like an identifier"),
    "a running number as input": ({"mmse": [str(n) for n in range(100, 124)]}, {}, "'mmse' looks like an identifier"),
    "the label as input": ({}, {"modalities": {"c": {"columns": ["diagnosis"], "categories": ["diagnosis"]}}}, "is the label 'dx'"),
    "no such column": ({}, {"groups": ["sitee"]}, "lacks the column 'sitee'; did you mean 'site'"),
    "no label column": ({}, {"labels": {"dx": {"column": "dx", "classes": ["a", "b"]}}}, "lacks the column 'dx'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_wrong_is_one_line_with_row_numbers(cohort: Path, name: str):
    cells, settings, why = REFUSED[name]
    changed(cohort, **cells)
    with pytest.raises(SourceError, match=why):
        ingest(cohort, **settings)


def test_all_missing_files_are_listed(cohort: Path):
    changed(cohort, t1_path={1: "img/gone.nii.gz", 2: "../out.nii"}, ecg_path={5: "img/none.npy"})
    with pytest.raises(SourceError) as refusal:
        source(cohort).files()
    lines = str(refusal.value).splitlines()
    assert lines[1:4] == [
        "  row 3, t1_path: is not there",
        f"  row 4, t1_path: lies outside of the root {cohort.name}; set source.root to the folder that holds all files",
        "  row 7, ecg_path: is not there",
    ]


def test_dates_that_are_allowed_are_years(cohort: Path):
    changed(cohort, age=["2150-07-02"] * 23 + ["2151-07-02"])
    _, arrays = ingest(cohort, allow=["age"], **only("clinical"))
    assert arrays["clinical"][0, 0] == pytest.approx(180.5, abs=0.01)
    assert arrays["clinical"][23, 0] - arrays["clinical"][0, 0] == pytest.approx(1, abs=0.01)


def test_a_series_without_its_time_is_refused(cohort: Path):
    (cohort / "labs.csv").write_text("patient_id,item,value\np001,crp,3\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"labs.csv lacks the column 'hour'"):
        ingest(cohort)
    (cohort / "labs.csv").write_text("patient_id,hour,item,value\np001,soon,crp,3\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"1 of 1 cells of 'hour' are neither hours nor times, such as aaaa"):
        ingest(cohort)


def test_no_message_shows_a_cell(cohort: Path):
    secret = "Smithson"
    for column in ("patient_id", "diagnosis", "age", "t1_path", "sex"):
        changed(cohort, **{column: {3: secret, 4: secret}})
    with pytest.raises(SourceError) as refusal:
        ingest(cohort)
    assert secret not in str(refusal.value)


def test_a_column_that_says_the_label_is_named(cohort: Path):
    changed(cohort, mmse=["20", "29"] * 12)
    made = source(cohort, **only("clinical"))
    (cohort / "prepared").mkdir()
    records = made.ingest(cohort / "prepared", cohort, Flow(), Progress()).with_columns(split=pl.lit("train"))
    with pytest.raises(SourceError, match=r"clinical\.mmse → dx \(1\.00\).*allow: \[mmse\]"):
        made.audits(records, made.arrays(cohort / "prepared"))
    allowed = source(cohort, allow=("mmse",), **only("clinical"))
    audits = allowed.audits(records, made.arrays(cohort / "prepared"))
    assert audits == {"input columns that all but say a label, and are allowed": {"clinical.mmse → dx": 1.0}}


def test_chance_is_no_leak(tmp_path: Path):
    write_cohort(tmp_path, n=60)
    made = source(tmp_path, **only("clinical"))
    (tmp_path / "prepared").mkdir()
    records = made.ingest(tmp_path / "prepared", tmp_path, Flow(), Progress()).with_columns(split=pl.lit("train"))
    assert made.audits(records, made.arrays(tmp_path / "prepared")) == {}


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "two kinds": ({"modalities": {"x": {"image": "a", "text": "b"}}}, "a modality names exactly one of image, columns"),
    "no kind": ({"modalities": {"x": {}}}, "a modality names exactly one of"),
    "absolute table": ({"table": "/etc/passwd"}, "table is a path from root"),
    "unequal labels": (
        {"labels": {"a": {"column": "a", "classes": ["x", "y"]}, "b": {"column": "b", "classes": ["x", "y", "z"]}}},
        "different numbers of classes",
    ),
    "reserved name": ({"modalities": {"patient": {"image": "a"}}}, "plain words"),
    "half a split": ({"split": {"column": "fold", "test": ["1"]}}, "valid and test go together"),
}


@pytest.mark.parametrize("name", WRONG)
def test_settings_that_contradict_themselves_are_refused(tmp_path: Path, name: str):
    given, why = WRONG[name]
    with pytest.raises(ValidationError, match=why):
        Settings.model_validate(settings(tmp_path, **given))


def test_without_root_the_tables_folder_is_it(tmp_path: Path):
    given = {name: value for name, value in settings(tmp_path).items() if name != "root"}
    made = Settings.model_validate({**given, "table": str(tmp_path / "x" / "cohort.csv")})
    assert (made.root, made.table) == (tmp_path / "x", "cohort.csv")
