"""`i2m2 demo`: the whole story on embedded, simulated data whose truth is known."""

import shutil
from pathlib import Path
from typing import Any

from i2m2_med.console import say
from i2m2_med.errors import UserError
from i2m2_med.files import replace_file

from .compare import main as compare
from .diagnose import main as diagnose

MARK = "made by i2m2 demo"
READING = (
    "A joint expert sees all that the others see, so inter may do as well as I2M2 on such data; "
    "the black lines are the most that any observer could reach."
)


def main(out: Path = Path("i2m2_demo"), *, seed: int = 0) -> dict[str, Any]:
    """Simulate knees and MIMIC-III tables, train every paradigm on each, compare, and write the reports. All of it is synthetic.

    Parameters
    ----------
    out
        Folder for data, reports and what comes of them; an earlier demo there is used again as far as it is whole.
    seed
        Seed of the simulated data.
    """
    from i2m2_med.simulate.knee import write as knee
    from i2m2_med.simulate.mimic3 import write as mimic3

    own_folder(out)
    knee_data, mimic3_data = out / f"knee_data_{seed}", out / f"mimic3_data_{seed}"
    say("1/3  simulating: knees in fastMRI format, tables in MIMIC-III format (synthetic, with known dependencies)")
    if not knee_data.exists():
        knee.simulate(
            knee_data, volumes=300, slices=3, matrix="128x92", seed=seed, magnitude=0.7, phase=0.7, between=0.8
        )
    if not mimic3_data.exists():
        mimic3.simulate(mimic3_data, patients=900, seed=seed, series=0.7, static=0.7, notes=0.0, between=0.8)
    say("2/3  knee: magnitude and phase → four pathologies")
    knees = compare("knee_demo", set_=(f"source.root={knee_data}",), resume=True, out=out / "knee")
    say("3/3  MIMIC-III: static features and time series → respiratory diagnosis (ICD-9 group 7)")
    stays = compare("mimic3_demo", set_=(f"source.root={mimic3_data}",), resume=True, out=out / "mimic3")
    tracks = {"knee": knees, "mimic3": stays}
    found = {name: diagnose(track["run"], out=out / name) for name, track in tracks.items()}
    write_overview(out, {"knee": "fastMRI-format knees", "mimic3": "MIMIC-III-format tables"}, found)
    say(next_steps(out, knees, stays))
    return {"run": knees["run"], "report": str(out / "report.html"), "tracks": tracks, "diagnoses": found}


def own_folder(out: Path) -> None:
    """Make the demo's folder; one that holds something else is left alone."""
    if out.exists() and any(out.iterdir()) and not (out / ".demo").exists():
        raise UserError(f"{out} holds something that is not a demo's; name another folder: i2m2 demo OUT")
    out.mkdir(parents=True, exist_ok=True)
    (out / ".demo").write_text(MARK)


def write_overview(out: Path, tracks: dict[str, str], found: dict[str, dict[str, Any]]) -> None:
    """`report.html`: where the signal of each track lies and what an ideal observer would find, then figure and table; figures as PNG.

    found: by track, what `diagnose` returned.
    """
    import pandas as pd

    from i2m2_med.report.pages.html import Section, render_html

    sections: list[Section] = []
    for track, title in tracks.items():
        figure = out / track / "comparison.png"
        rows = pd.read_parquet(out / track / "comparison.parquet")
        shown = rows[rows["metric"] == "auroc"][["label", "paradigm", "value", "low", "high"]]
        pages = f"Everything else about this track is in {track}/report.html and {track}/diagnosis.html."
        text = [f"{found[track]['verdict']}.", found[track]["ideal"], READING, pages]
        sections.append(
            Section(
                title,
                text,
                figures=[("AUROC, 95 % intervals by patient", figure.read_bytes())],
                folded=[("AUROC", shown)],
            )
        )
        shutil.copyfile(figure, out / f"{track}.png")
    answer = " ".join(f"{title}: {found[track]['verdict'].rpartition(': ')[2]}." for track, title in tracks.items())
    with replace_file(out / "report.html") as beside:
        beside.write_text(render_html("i2m2 demo: where does the signal lie?", sections, synthetic=True, answer=answer))


def next_steps(out: Path, knees: dict[str, Any], stays: dict[str, Any]) -> str:
    """Return the closing text: how to read the tables, and three commands to try next."""
    best = knees["runs"][-1]
    return f"""
How to read it: {READING} Everything above is synthetic.

Next:
  open {out / "report.html"}
  i2m2 ui                                     # the runs in MLflow: {len(knees["runs"]) + len(stays["runs"])} of them, under two comparisons
  i2m2 simulate studies {out / "studies"} --kind knee --count 12 && i2m2 score {out / "studies"} {out / "scores"} --model {best}"""
