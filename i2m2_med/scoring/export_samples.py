"""Real samples that an exported graph is held against torch on: of studies, or of the data that the run was trained on."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from i2m2_med.console import Progress
from i2m2_med.errors import SourceError, UserError
from i2m2_med.object_store import SCHEME
from i2m2_med.samples.batch import Batch
from i2m2_med.scoring.exported import SAMPLES, Sample, samples_of
from i2m2_med.scoring.open_model import ModelFolder
from i2m2_med.scoring.reading import Chunk, Reader
from i2m2_med.scoring.remote import fetched
from i2m2_med.scoring.studies import find_studies
from i2m2_med.scoring.study_names import StudyFolder

SPLIT = "valid"


def samples_at_hand(
    model: ModelFolder, run: str, uri: str | None, studies: str | None, root: Path | None, progress: Progress
) -> tuple[list[Sample], str]:
    """Return samples as the model reads them, and where they are from, in words.

    studies: as of `i2m2 score`; where not given, the validation split of the run's data, which a model folder needs `root` for.
    Raises UserError where there are none.
    """
    reader = Reader(model.folder)
    if studies is not None:
        found = find_studies(studies, source=reader.source)
        samples = samples_of(batches_of(reader, found))
        if not samples:
            raise UserError(f"{studies}: none of the {len(found)} studies can be read by this model")
        return samples, f"{len(found)} studies"
    from i2m2_med.engine.reopening.runs import open_run_again
    from i2m2_med.engine.tracking.store import store_uri
    from i2m2_med.workspace import workspace

    if run.startswith(("models:/", SCHEME)) or (Path(run).is_dir() and root is None):
        raise UserError(
            "a graph is held against torch on real samples: name some with --studies STUDIES, or the data with --root FOLDER"
        )
    reference = run.removeprefix("runs:/").partition("/")[0] if run.startswith("runs:/") else run
    split = open_run_again(reference, store_uri(workspace(), uri), progress, root=root).folds[0].samples(SPLIT)
    rows = list(range(min(len(split), SAMPLES)))
    return samples_of([reader.complete(split.__getitems__(rows))] if rows else ()), "the validation split"


def batches_of(reader: Reader, studies: Iterable[StudyFolder]) -> Iterator[Batch]:
    """Yield the chunks of studies as batches; a study that is refused has none. A volume gives its first chunk: others want to be heard."""
    for study in studies:
        with suppress(SourceError, OSError), fetched(study, TemporaryDirectory) as here:
            reader.content(here.folder)  # raises where it holds what no study should
            for piece in islice(reader.chunks(here.folder), 1):
                if isinstance(piece, Chunk):
                    yield piece.batch()
