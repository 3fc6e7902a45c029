"""A remark of the run on files that the fingerprint of the data does not cover."""

from i2m2_med.config.run import RunConfig
from i2m2_med.console import Progress
from i2m2_med.samples.cohort import Cohort, open_cohort
from i2m2_med.samples.data_files import data_files
from i2m2_med.samples.further_files import unannounced
from i2m2_med.samples.preparing import open_source


def add_unannounced(run: RunConfig, cohort: Cohort, progress: Progress) -> None:
    """Add a remark to the cohort's manifest where transforms or plugins read files that its fingerprint does not cover.

    A cohort of its own makes the sample, so that no random state of the one that trains is moved.
    """
    if not (run.modalities.transforms or run.modalities.train_transforms):
        return
    again = open_cohort(run.of_fold(0) if run.split.cross_validated else run, cohort.folder)
    files = unannounced(lambda: again.samples("train").__getitems__([0]), data_files(run, open_source(run)))
    if files:
        progress.say(f"not in the fingerprint of the data: {', '.join(map(str, files))}")
        kinds = ", ".join(sorted({path.suffix or "without ending" for path in files}))
        cohort.manifest["remarks"].append(
            f"Transforms read {len(files)} file(s) ({kinds}) that the fingerprint of the data does not cover: changed ones go unseen."
        )
