"""`i2m2 export-meds CONFIG OUT`: a MIMIC cohort as a MEDS data set."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from i2m2_med.config.reader import load_config
from i2m2_med.console import TerminalProgress, say, table
from i2m2_med.errors import ConfigError
from i2m2_med.files import replace_folder
from i2m2_med.workspace import workspace

from .arguments import Config, Overrides


def main(config: Config, out: Path, *, set_: Overrides = ()) -> dict[str, Any]:
    """Write the cohort of CONFIG (source mimic3 or mimic4) to OUT: events of its subjects, labels at prediction time, and splits.

    The data set holds patients' data under their own identifiers. `-s source.name=meds -s source.root=OUT` reads it.

    Parameters
    ----------
    out
        Folder to write; it must not hold anything yet.
    """
    from i2m2_med.samples.split import assign
    from i2m2_med.sources import mimic3, mimic4
    from i2m2_med.sources.meds.export import write_meds
    from i2m2_med.sources.mimic3.ingest import ingest_table
    from i2m2_med.sources.source import Flow

    run, _ = load_config(config, set_)
    room = {"mimic3": mimic3, "mimic4": mimic4}.get(run.source.model_dump()["name"])
    if room is None:
        raise ConfigError("export-meds writes a cohort of source mimic3 or mimic4; name such a config")
    source, cache, progress = room.Source(run.source), workspace() / "cache", TerminalProgress()
    with replace_folder(out) as folder, TemporaryDirectory() as arrays:
        records, _ = assign(source.ingest(Path(arrays), cache, flow := Flow(), progress), run.split)
        tables = {name: ingest_table(path, name, cache / "mimic3", progress) for name, path in source.tables().items()}
        simulated = run.synthetic or flow.synthetic
        counts = write_meds(
            folder, tables, records, source.settings.gap_hours, source.labels, source.release, simulated=simulated
        )
    table("MEDS data set", ["what", "how many"], [[name, f"{count:,}"] for name, count in counts.items()])
    say(f"written to {out}; it holds patients' data under their own identifiers: keep it where the tables may be kept")
    say(f"next: i2m2 check mimic3_meds -s source.root={out}")
    return {"out": str(out), **counts}
