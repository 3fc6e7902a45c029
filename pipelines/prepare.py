"""`i2m2 prepare CONFIG`: raw data → records, manifest and typed tables, once."""

import json
from pathlib import Path
from typing import Any

from i2m2_med.arguments import Config, Overrides
from i2m2_med.config_reader import load_config
from i2m2_med.console import TerminalProgress, say, table
from i2m2_med.workspace import workspace


def main(config: Config, *, set_: Overrides = (), skip_bad: bool = False) -> dict[str, Any]:
    """Read the data set once and write its manifest: files, cohort flow, splits, audits, fingerprint.

    Parameters
    ----------
    skip_bad
        Leave bad files out and list them in the manifest, instead of stopping at the first.
    """
    from i2m2_med.samples.cohort import prepare

    run, values = load_config(config, set_)
    folder = prepare(run, values.name, workspace(), TerminalProgress(), skip_bad=skip_bad)
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    show(manifest)
    say(f"prepared in {folder}")
    if run.source.model_dump()["name"] == "fastmri":
        from i2m2_med.samples.cohort import open_source
        from i2m2_med.samples.knee_picture import draw_prepared

        say(f"slices to look at: {draw_prepared(open_source(run), folder)}")
    return {
        "manifest": str(Path(folder) / "manifest.json"),
        "fingerprint": manifest["fingerprint"],
        "flow": manifest["flow"],
    }


def show(manifest: dict[str, Any]) -> None:
    """Cohort flow, splits and what was refused, for a person."""
    table("Cohort flow", ["step", "kept", "dropped", "why"], [list(step.values()) for step in manifest["flow"]])
    sizes = [
        [name, found["patients"], found["studies"], found["samples"]] for name, found in manifest["splits"].items()
    ]
    table("Splits", ["split", "patients", "studies", "samples"], sizes)
    if manifest["refused"]:
        table("Refused", ["file", "why"], [[item["name"], item["why"]] for item in manifest["refused"]])
