"""The model that an MLflow server calls: rows that name or carry study folders → the prediction table."""

import base64
import binascii
import io
import shutil
import stat
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

import pandas as pd
import polars as pl

from i2m2_med.errors import SourceError
from i2m2_med.predictions import column_names, polars_schema
from i2m2_med.scoring.answer import StudyOutputs, StudyPredictor
from i2m2_med.scoring.job import Job, model_hash
from i2m2_med.scoring.open_model import check_trust
from i2m2_med.scoring.reading import Reader, Refusal, refusal
from i2m2_med.scoring.results import rows_of
from i2m2_med.scoring.studies import printable
from i2m2_med.scoring.study_checks import MAX_FILES, MAX_UNPACKED


class Scorer:
    """A model folder in memory. Called with a table of studies; raises ModelError where the folder is not what it should be."""

    def __init__(self, model: Path) -> None:
        check_trust(model, ())
        sha = model_hash(model)
        self.reader = Reader(model)
        self.predictor = StudyPredictor(Job(model, sha[:12], sha, Path()))

    def __call__(self, studies: pd.DataFrame) -> pd.DataFrame:
        """One row per study, item, label and class; a study that can't be scored is one row with its reason.

        studies: column `study`, a folder on this machine, or `archive`, the study folder as a base64 zip (`study` then names it).
        """
        results = [
            self.score(str(row.get("study") or ""), str(row.get("archive") or ""), number)
            for number, row in enumerate(studies.fillna("").to_dict("records"))
        ]
        names = column_names(self.predictor.trained.model.names)
        rows = [row for result in results for row in rows_of(result)]
        return pl.DataFrame(rows, schema=polars_schema(names)).to_pandas()

    def score(self, study: str, archive: str, number: int) -> dict[str, object]:
        """Return one study's result."""
        if not archive:
            return self.score_folder(printable(Path(study).name) if study else f"row {number}", Path(study))
        name = printable(Path(study).name) if study else f"row {number}"
        with tempfile.TemporaryDirectory(prefix="i2m2-study-") as temporary:
            folder = Path(temporary) / "study"
            try:
                unpack(archive, folder)
            except SourceError as error:
                return self.predictor.result(name, "", StudyOutputs(refusal=refusal(error)), 0.0)
            return self.score_folder(name, folder)

    def score_folder(self, name: str, folder: Path) -> dict[str, object]:
        """Return a study folder's result."""
        outputs = StudyOutputs()
        content = ""
        try:
            if not folder.name:
                raise SourceError("the row names no study; give 'study' (a folder) or 'archive' (a base64 zip)")
            content = self.reader.content(folder)
        except SourceError as error:
            outputs.refusal = Refusal(refusal(error, folder).why, lasting=False)
        else:
            for chunk in self.reader.chunks(folder):
                self.predictor.add(outputs, chunk)
        return self.predictor.result(name, content, outputs, 0.0)


def unpack(archive: str, folder: Path) -> None:
    """Unpack a base64 zip into a folder. Names that leave it, links, too many and too large files are refused before they are written."""
    try:
        packed = zipfile.ZipFile(io.BytesIO(base64.b64decode(archive, validate=True)))
    except (binascii.Error, ValueError, zipfile.BadZipFile) as error:
        raise SourceError("the archive is not a base64 zip") from error
    files = [info for info in packed.infolist() if not info.is_dir()]
    if len(files) > MAX_FILES or sum(info.file_size for info in files) > MAX_UNPACKED:
        raise SourceError(f"the archive unpacks to more than {MAX_UNPACKED / 2**30:.0f} GiB or {MAX_FILES} files")
    folder.mkdir()
    for info in files:
        name = PurePosixPath(info.filename)
        if name.is_absolute() or ".." in name.parts or "\\" in info.filename or stat.S_ISLNK(info.external_attr >> 16):
            raise SourceError("the archive holds a link, or a name that leaves the study folder")
        write_member(packed, info, folder / name)
    only = list(folder.iterdir())
    if len(only) == 1 and only[0].is_dir() and only[0].name != "notes":  # the folder itself was packed
        inner = only[0].rename(folder.with_name("inner"))
        folder.rmdir()
        inner.rename(folder)


def write_member(packed: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> None:
    """Write one file, no longer than it says (zipfile checks that, and the checksum)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with packed.open(info) as source, path.open("xb") as target:
            shutil.copyfileobj(source, target)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as error:
        raise SourceError("the archive is damaged, encrypted or packed in an unknown way") from error
