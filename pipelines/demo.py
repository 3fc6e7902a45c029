"""`i2m2 demo`: the whole story on embedded, simulated data whose truth is known."""

import shutil
from pathlib import Path
from typing import Any

from i2m2_med.console import say
from i2m2_med.errors import UserError
from i2m2_med.files import replace_file

from .check import main as check
from .compare import main as compare
from .diagnose import main as diagnose
from .init import main as init
from .report import main as report
from .score import main as score

MARK = "made by i2m2 demo"
TITLES = {"knee": "fastMRI-format knees", "mimic3": "MIMIC-III-format tables", "table": "A table of one's own"}
COHORT: dict[str, Any] = {"t1": 0.6, "clinical": 0.6, "report": 0.0, "labs": 0.4, "between": 1.0, "missing": 0.05}
"""Dials of the third track: something within three modalities, much between two of them."""
SHORT = ("seeds=[0]", "training.epochs=12", "training.scheduler.T_max=12", "evaluation.bootstrap=500")
READING = (
    "A joint expert sees all that the others see, so inter may do as well as I2M2 on such data; "
    "the black lines are the most that any observer could reach."
)


def main(out: Path = Path("i2m2_demo"), *, seed: int = 0) -> dict[str, Any]:
    """Simulate knees, MIMIC-III tables and a cohort of one's own; train every paradigm on each, compare, and write the reports.

    All of it is synthetic.

    Parameters
    ----------
    out
        Folder for data, reports and what comes of them; an earlier demo there is used again as far as it is whole.
    seed
        Seed of the simulated data.
    """
    own_folder(out)
    say("1/4  simulating: fastMRI-format knees, MIMIC-III-format tables, a cohort (synthetic, with known dependencies)")
    data = simulated(out, seed)
    say("2/4  knee: magnitude and phase → four pathologies")
    knees = compare("knee_demo", set_=(f"source.root={data['knee']}",), resume=True, out=out / "knee")
    say("3/4  MIMIC-III: static features and time series → respiratory diagnosis (ICD-9 group 7)")
    stays = compare("mimic3_demo", set_=(f"source.root={data['mimic3']}",), resume=True, out=out / "mimic3")
    say("4/4  a table of one's own: volumes, columns, reports, labs → diagnosis; from init to scores")
    own = own_table(out, data["table"], data["new"])
    tracks = {"knee": knees, "mimic3": stays, "table": own}
    found = {name: diagnose(track["run"], out=out / name) for name, track in tracks.items()}
    write_overview(out, TITLES, found)
    say(next_steps(out, tracks))
    return {"run": knees["run"], "report": str(out / "report.html"), "tracks": tracks, "diagnoses": found}


def simulated(out: Path, seed: int) -> dict[str, Path]:
    """The folder of each track's data, and of rows to score; those that are there stay."""
    from i2m2_med.simulate.knee import write as knee
    from i2m2_med.simulate.mimic3 import write as mimic3
    from i2m2_med.simulate.table import write as cohort

    data = {name: out / f"{name}_data_{seed}" for name in ("knee", "mimic3", "table", "new")}
    if not data["knee"].exists():
        knee.simulate(
            data["knee"], volumes=300, slices=3, matrix="128x92", seed=seed, magnitude=0.7, phase=0.7, between=0.8
        )
    if not data["mimic3"].exists():
        mimic3.simulate(data["mimic3"], patients=900, seed=seed, series=0.7, static=0.7, notes=0.0, between=0.8)
    for name, patients, its_seed in (("table", 700, seed), ("new", 8, seed + 1)):
        if not data[name].exists():
            cohort.simulate(data[name], patients=patients, matrix="16x20x16", seed=its_seed, **COHORT)
    return data


def own_table(out: Path, data: Path, new: Path) -> dict[str, Any]:
    """What a user does with a table of their own: init, check, compare, report, score. Returns what `compare` does."""
    from i2m2_med.scoring.options import ModelOptions

    config = out / f"{data.name}.yaml"
    if not config.exists():
        init(data / "cohort.csv", out=config)
    check(str(config))
    compared = compare(str(config), set_=SHORT, resume=True, out=out / "table")
    report(compared["run"], out=out / "table")
    score(str(new / "cohort.csv"), str(out / f"{new.name}_scores"), model=ModelOptions(model=compared["runs"][-1]))
    return compared


def own_folder(out: Path) -> None:
    """Make the demo's folder; one that holds something else is left alone."""
    if out.exists() and any(out.iterdir()) and not (out / ".demo").exists():
        raise UserError(f"{out} holds something that is not a demo's; name another folder: i2m2 demo OUT")
    out.mkdir(parents=True, exist_ok=True)
    (out / ".demo").write_text(MARK, encoding="utf-8")


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
        beside.write_text(
            render_html("i2m2 demo: where does the signal lie?", sections, synthetic=True, answer=answer),
            encoding="utf-8",
        )


def next_steps(out: Path, tracks: dict[str, Any]) -> str:
    """Return the closing text: how to read the tables, and three commands to try next."""
    best = tracks["knee"]["runs"][-1]
    return f"""
How to read it: {READING} Everything above is synthetic.

Next:
  open {out / "report.html"}
  i2m2 ui                                     # the runs in MLflow: {sum(len(each["runs"]) for each in tracks.values())} of them, under three comparisons
  i2m2 simulate studies {out / "studies"} --kind knee --count 12 && i2m2 score {out / "studies"} {out / "scores"} --model {best}"""
