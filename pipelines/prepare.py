"""`i2m2 prepare CONFIG`: raw data → records, manifest and typed tables, once."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from i2m2_med.config.reader import load_config
from i2m2_med.config.run import RunConfig
from i2m2_med.console import TerminalProgress, say, table
from i2m2_med.files import replace_file
from i2m2_med.workspace import workspace

from .arguments import Config, Overrides, as_typed


def main(config: Config, *, set_: Overrides = (), skip_bad: bool = False) -> dict[str, Any]:
    """Read the data set once and write its manifest: files, cohort flow, splits, audits, fingerprint.

    Parameters
    ----------
    skip_bad
        Leave bad files out and list them in the manifest, instead of stopping at the first.
    """
    from i2m2_med.samples.preparing import prepare

    run, values = load_config(config, set_)
    folder = prepare(run, values.name, workspace(), TerminalProgress(), skip_bad=skip_bad)
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    show(manifest)
    say(f"prepared in {folder}; to look at: {', '.join(map(str, draw(run, folder, manifest)))}")
    say(f"next: i2m2 compare {as_typed(config, set_)}")
    return {
        "manifest": str(Path(folder) / "manifest.json"),
        "fingerprint": manifest["fingerprint"],
        "flow": manifest["flow"],
    }


def draw(run: RunConfig, folder: Path, manifest: dict[str, Any]) -> list[Path]:
    """The cohort flow as a picture, and a few samples where the data set can be drawn."""
    from i2m2_med.report.pages.flow_picture import draw_flow
    from i2m2_med.samples.preparing import open_source

    flow = folder / "flow.png"
    with replace_file(flow) as beside:
        beside.write_bytes(draw_flow(manifest["flow"], f"{run.task}: cohort flow", manifest["synthetic"]))
    source = open_source(run)
    if source.pictured_by is None:
        return [flow]
    return [flow, import_module(source.pictured_by).draw_prepared(source, folder)]


def show_coverage(manifest: dict[str, Any]) -> None:
    """Show how far the samples have each measured concept, where the data set has concepts that codes stand for."""
    rows = [
        [entry["concept"], shortened(entry["codes"]), f"{100 * entry['share']:.0f} %", middle(entry), entry["unit"]]
        for entry in manifest["coverage"]
    ]
    if rows:
        table("Coverage", ["concept", "codes found", "samples with a value", "median", "unit"], rows)


def middle(entry: dict[str, Any]) -> str:
    """A concept's median as text; few samples have none, so that no patient's value is shown."""
    return "–" if entry["median"] is None else f"{entry['median']:g}"


def shortened(codes: list[str], most: int = 6) -> str:
    """The first few of many codes, and how many more there are.

    >>> shortened(["211", "220045"]), shortened(list("abcdefgh"), most=3)
    ('211, 220045', 'a, b, c and 5 more')
    """
    more = f" and {len(codes) - most} more" if len(codes) > most else ""
    return ", ".join(codes[:most]) + more if codes else "none"


def show(manifest: dict[str, Any]) -> None:
    """Cohort flow, splits, what was refused, and what may not be claimed, for a person."""
    table("Cohort flow", ["step", "kept", "dropped", "why"], [list(step.values()) for step in manifest["flow"]])
    parts = {
        f"fold {number}: {name}": counts
        for number, fold in enumerate(manifest.get("folds", ()))
        for name, counts in fold["splits"].items()
    }
    sizes = [
        [name, counts["patients"], counts["studies"], counts["samples"]]
        for name, counts in (parts or manifest["splits"]).items()
    ]
    table("Splits", ["split", "patients", "studies", "samples"], sizes)
    show_coverage(manifest)
    if manifest["refused"]:
        table("Refused", ["file", "why"], [[item["name"], item["why"]] for item in manifest["refused"]])
    for remark in manifest["remarks"]:
        say(remark)
