"""The model that an MLflow server calls: rows that name or carry study folders → the prediction table."""

import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl

from i2m2_med.errors import SourceError, UserError
from i2m2_med.predictions import column_names, optional_names, polars_schema
from i2m2_med.scoring.answer import StudyOutputs, StudyPredictor
from i2m2_med.scoring.archive import unpack
from i2m2_med.scoring.job import Job, model_hash
from i2m2_med.scoring.open_model import check_trust
from i2m2_med.scoring.reading import Reader, Refusal, refusal
from i2m2_med.scoring.results import rows_of
from i2m2_med.scoring.study_names import printable

ROOT = "I2M2_STUDIES"
"""The environment variable that names, when the server starts, the folder below which requests may name studies."""
COLUMNS = ("study", "archive")


class Scorer:
    """A model folder in memory. Called with a table of studies; raises ModelError where the folder is not what it should be."""

    def __init__(self, model: Path, root: Path | None = None) -> None:
        """root: the folder below which requests may name studies, $I2M2_STUDIES by default; without one they carry archives."""
        check_trust(model, ())
        sha = model_hash(model)
        self.root = root or (Path(os.environ[ROOT]) if os.environ.get(ROOT) else None)
        if self.root and not self.root.is_dir():
            raise UserError(f"{ROOT}={self.root} is no folder; name the one that holds the study folders")
        self.reader = Reader(model)
        self.predictor = StudyPredictor(Job(model, sha[:12], sha, Path()))

    def __call__(self, studies: pd.DataFrame) -> pd.DataFrame:
        """Return one row per study, item, label and class; a study that can't be scored is one row with its reason.

        studies: column `study`, a folder below the server's root, or `archive`, the study folder as a base64 zip (`study` then
        names it); of a model of rows, its columns (`Source.posted_columns`), paths below the server's root. Raises SourceError for
        a table with none of these columns.
        """
        posted = self.reader.source.posted_columns
        if not {*COLUMNS, *posted} & set(studies.columns):
            others = f", nor a column of the model's ({', '.join(posted)})" if posted else ""
            raise SourceError(
                f"the request has neither a column 'study' (a folder) nor 'archive' (a base64 zip){others}"
            )
        rows: list[dict[str, Any]] = []
        for number, row in enumerate(studies.to_dict("records")):
            cells = {str(name): cell for name, cell in row.items() if name not in COLUMNS and not is_empty(cell)}
            rows += rows_of(self.answer(row, cells if posted else {}, number))
        optional = optional_names({name for row in rows for name in row})
        names = [*column_names(self.predictor.trained.model.names), *optional]
        return pl.DataFrame(rows, schema=polars_schema(names)).to_pandas()

    def answer(self, row: Mapping[Any, Any], cells: dict[str, Any], number: int) -> dict[str, Any]:
        """Return the result of row `number`; whatever is wrong with it refuses this study only. cells: in which it carries its study."""
        study, archive = text(row.get("study")), text(row.get("archive"))
        name = printable(study if cells else study.rstrip("/").rpartition("/")[2]) or f"row {number}"
        try:
            if cells:
                return self.score_row(name, cells)
            if not archive:
                return self.score_folder(name, self.folder_of(study))
            with tempfile.TemporaryDirectory(prefix="i2m2-study-") as temporary:
                folder = Path(temporary) / "study"
                unpack(archive, folder)
                return self.score_folder(name, folder)
        except Exception as error:  # one study must not lose the others
            why = Refusal(refusal(error).why, lasting=False)
            return self.predictor.result(name, "", StudyOutputs(refusal=why), 0.0)

    def score_row(self, name: str, cells: dict[str, Any]) -> dict[str, Any]:
        """Return the result of a row that carries its cells."""
        outputs = StudyOutputs()
        for chunk in self.reader.chunked(lambda: self.reader.samples_of(self.reader.source.posted(cells, self.root))):
            self.predictor.add(outputs, chunk)
        return self.predictor.result(name, "", outputs, 0.0)

    def folder_of(self, study: str) -> Path:
        """Return the folder that a row names. Raises SourceError for any place but one below the server's root."""
        if not study:
            raise SourceError("the row names no study; give 'study' (a folder) or 'archive' (a base64 zip)")
        if self.root is None:
            raise SourceError(f"this server opens no folders; send 'archive', or start it with {ROOT}=FOLDER")
        root = self.root.resolve()
        try:
            folder = (root / study).resolve()
            below, there = root in folder.parents, folder.is_dir()
        except (OSError, ValueError, RuntimeError) as error:
            raise SourceError("the row names no folder") from error
        if not below:
            raise SourceError("the row names a folder outside of those that this server opens")
        if not there:
            raise SourceError("the row names no folder")
        return root / study

    def score_folder(self, name: str, folder: Path) -> dict[str, Any]:
        """Return a study folder's result."""
        outputs = StudyOutputs()
        content = ""
        try:
            content = self.reader.content(folder)
        except Exception as error:  # as in `Reader.chunks`
            outputs.refusal = Refusal(refusal(error, folder).why, lasting=False)
        else:
            for chunk in self.reader.chunks(folder):
                self.predictor.add(outputs, chunk)
        return self.predictor.result(name, content, outputs, 0.0)


def text(cell: Any) -> str:
    """Return a cell of a request as text, empty where nothing is in it (None or NaN)."""
    return "" if is_empty(cell) else str(cell)


def is_empty(cell: Any) -> bool:
    """Return whether nothing is in a cell of a request: None or NaN."""
    return cell is None or (isinstance(cell, float) and math.isnan(cell))
