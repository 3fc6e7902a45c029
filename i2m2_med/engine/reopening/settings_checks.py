"""Checks that a run's copies of its settings agree: its config as a file, as parameters, and in its model; its manifest."""

import json
from typing import Any

from i2m2_med.config.run import RunConfig
from i2m2_med.engine.prediction.predictor import portable
from i2m2_med.engine.reopening.check import Check, alike, names
from i2m2_med.engine.tracking.facts import public_part, settings_of
from i2m2_med.engine.tracking.read import FoundRun, stored_document
from i2m2_med.files import digest
from i2m2_med.samples.cohort import Cohort

OF_THE_DATA = ("fingerprint", "settings", "splits", "n_files")
"""Parts of a manifest that follow from the data alone, whatever the code says of them."""


def check_config(run: FoundRun) -> list[Check]:
    """`config.yaml` against its digest, and every parameter against `config.yaml`."""
    values = stored_document(run, "config.yaml")
    expected = {name[:250]: value[:6000] for name, value in settings_of(values).items()}
    off = sorted(name for name, value in expected.items() if run.params.get(name) != value)
    return [
        alike("config.yaml", run.tags.get("i2m2.config_sha256", ""), digest(values)),
        Check(f"{len(expected)} settings", "as in config.yaml", names(off) or "as in config.yaml", _verdict(off)),
    ]


def check_model_config(config: RunConfig, model: RunConfig) -> Check:
    """The config that the model carries, without places, against the run's."""
    return alike("config of the model", digest(portable(model)), digest(portable(config)))


def check_manifest(run: FoundRun, cohort: Cohort, code_is_same: bool) -> Check:
    """`manifest.json` against the manifest of the data as they are now. What other code counts or words otherwise is noted."""
    kept = stored_document(run, "manifest.json")
    now: Any = json.loads(json.dumps(public_part(cohort.manifest), default=str))
    off = sorted(name for name in {*kept, *now} - {"versions"} if kept.get(name) != now.get(name))
    noted = not code_is_same and not {*off} & {*OF_THE_DATA} and bool(kept)
    return Check("manifest", "as prepared", names(off) or "as prepared", "noted" if off and noted else _verdict(off))


def _verdict(off: list[str]) -> Any:
    return "DIFFERS" if off else "same"
