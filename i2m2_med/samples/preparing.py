"""A data set prepared once: records, manifest, training statistics. Nothing here needs torch, which takes seconds to import."""

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import i2m2_med
from i2m2_med.config.run import IDEAL, RunConfig, nearest
from i2m2_med.errors import ConfigError, SourceError
from i2m2_med.files import digest, replace_folder, sha256_of, sole_user, write_json
from i2m2_med.privacy import project_key, pseudonym
from i2m2_med.samples import normalise
from i2m2_med.samples.data_files import data_files, describe_files
from i2m2_med.samples.folds import assign_folds, fold_column
from i2m2_med.samples.joined import join, joined_arrays, refuse_leaks, shapes
from i2m2_med.samples.prevalence import prevalences
from i2m2_med.samples.split import RANKED, REST, SPLITS, assign
from i2m2_med.sources import source_of
from i2m2_med.sources.source import Flow, Labels, Progress, Source

FEWEST_PATIENTS = 100
"""Below this many test patients a 95 % interval of an accuracy is wider than ±10 points."""


def open_source(run: RunConfig) -> Source:
    """The run's data set, as its settings describe it; experts may read only what it (or a transform) gives."""
    source = source_of(run.source)
    known = list(dict.fromkeys([*source.modalities, *run.modalities.columns, *made_by_transforms(run)]))
    for expert, settings in run.experts.items():
        for modality in settings.reads:
            if modality not in known:
                raise ConfigError(
                    f"expert '{expert}' reads '{modality}', which {source.name} does not give{nearest(modality, known)}; "
                    "a transform that makes it says so in its `keys` or `outputs` (modalities.transforms; one of your own: plugins)"
                )
    return source


def made_by_transforms(run: RunConfig) -> list[str]:
    """Names that the config's transforms say they make (their `keys` or `outputs`)."""
    listed = [block.get(key, ()) for block in run.modalities.transforms for key in ("keys", "outputs")]
    return [name for names in listed for name in ([names] if isinstance(names, str) else names)]


def prepare(run: RunConfig, name: str, workspace: Path, progress: Progress, *, skip_bad: bool = False) -> Path:
    """Raw data → a prepared folder, once: an earlier one of the same files and settings is used as it is. All folds share one."""
    run = run.of_fold(None)
    source = open_source(run)
    files = data_files(run, source)
    folder = prepared_folder(run, name, workspace, files)
    if (folder / "manifest.json").exists():
        return folder
    busy = f"another run is preparing {name}; waiting for it"
    with sole_user(folder.with_suffix(".preparing"), waiting=lambda: progress.say(busy)):
        if not (folder / "manifest.json").exists():
            progress.say(f"preparing {name} from {len(files)} files")
            with replace_folder(folder) as beside:
                fill(beside, run, source, files=files, workspace=workspace, progress=progress, skip_bad=skip_bad)
    return folder


def prepared_folder(run: RunConfig, name: str, workspace: Path, files: Sequence[Path]) -> Path:
    """Return where the prepared data of these files and settings lie, or will."""
    return workspace / "prepared" / f"{name}-{key_of(run, files)}"


def key_of(run: RunConfig, files: Sequence[Path]) -> str:
    """Return the digest (12 hex digits) of settings of the data, the files' names, sizes and times, and our code."""
    stats = [(str(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    root = Path(getattr(run.source, "root", "")).absolute()
    return digest([data_settings(run), str(root), stats, code_digest()])[:12]


def code_digest() -> str:
    """A hash over the code that prepares data: what another version made is not used again."""
    home = Path(i2m2_med.__file__).parent
    return digest([sha256_of(path) for part in ("sources", "samples") for path in sorted((home / part).rglob("*.py"))])


def data_settings(run: RunConfig) -> dict[str, Any]:
    """The settings that decide what the data are, without where they lie."""
    source = {name: value for name, value in run.source.fingerprinted().items() if not is_place(run, name)}
    columns = {name: one.fingerprinted() for name, one in run.modalities.columns.items()}
    beside = {"columns": columns} if columns else {}  # came later: without them older fingerprints hold
    return {"source": source, "normalise": run.modalities.normalise, "split": run.split.fingerprinted(), **beside}


def is_place(run: RunConfig, name: str) -> bool:
    """Return whether a source's setting is a path."""
    return isinstance(getattr(run.source, name), Path)


def fill(
    folder: Path,
    run: RunConfig,
    source: Source,
    *,
    files: list[Path],
    workspace: Path,
    progress: Progress,
    skip_bad: bool,
) -> None:
    """Ingest, split, name by pseudonyms, fit statistics on training rows, and write records, state and manifest."""
    flow = Flow(skip_bad=skip_bad)
    records = source.ingest(folder, workspace / "cache", flow, progress)
    if not len(records):
        raise SourceError(f"no sample is left of {getattr(run.source, 'root', 'the data set')}; {last_step(flow)}")
    records = join(records, run, folder, flow)
    place = assign_folds if run.split.folds else assign
    records, flow.audits["split"] = place(records, run.split)
    key = project_key(workspace)
    named = records.with_columns(
        pl.col(kind).cast(pl.String).map_elements(lambda name, kind=kind: pseudonym(key, kind, name), pl.String)
        for kind in ("patient", "study")
    )
    named.write_parquet(folder / "records.parquet")
    listed = describe_files(run, source, files)
    if run.split.folds is None:
        write_json(folder / "manifest.json", fill_split(folder, folder, run, source, records, flow, listed))
        return
    parts: list[dict[str, Any]] = []
    for fold in progress.track(range(run.split.folds), "folds: training statistics and audits", run.split.folds):
        one, beside = run.of_fold(fold), folder_of(folder, fold)
        own = records.with_columns(split=pl.col(fold_column(fold)))
        parts.append(fill_split(folder, beside, one, source, own, replace(flow, audits=dict(flow.audits)), listed))
        write_json(beside / "manifest.json", parts[-1])
    labels = source.labels_in(folder)
    whole = describe_cohort(run, source, labels, listed=listed, records=records, state={}, flow=flow)
    write_json(folder / "manifest.json", describe_folds(whole, parts))


def fill_split(
    folder: Path,
    beside: Path,
    run: RunConfig,
    source: Source,
    records: pl.DataFrame,
    flow: Flow,
    listed: list[dict[str, Any]],
) -> dict[str, Any]:
    """Audit one split of the records, write the statistics of its training rows into `beside`, and return its manifest."""
    arrays = arrays_of(run, source, folder)
    flow.audits |= source.audits(records, arrays)
    refuse_leaks(records, run, folder, source.labels_in(folder).names)
    train = np.flatnonzero((records["split"] == "train").to_numpy())
    state = normalise.fit(arrays, train, run.modalities.normalise, {**source.columns, **shapes(run)})
    write_json(beside / "state.json", state)
    labels = source.labels_in(folder)
    return describe_cohort(run, source, labels, listed=listed, records=records, state=state, flow=flow)


def folder_of(folder: Path, fold: int | None) -> Path:
    """Where a prepared folder keeps statistics and manifest: a fold's apart, all else in the folder itself."""
    return folder if fold is None else folder / f"fold-{fold}"


def arrays_of(run: RunConfig, source: Source, folder: Path) -> dict[str, np.ndarray]:
    """The source's arrays, and those of the columns that are joined."""
    return {**source.arrays(folder), **joined_arrays(run, folder)}


def last_step(flow: Flow) -> str:
    """Return a clause on the step of the cohort flow that dropped the last samples."""
    emptied = [step for step in flow.steps if not step["kept"]]
    return f"step '{emptied[0]['step']}' dropped the last: {emptied[0]['why']}" if emptied else "the folder holds none"


def describe_cohort(
    run: RunConfig,
    source: Source,
    labels: Labels,
    *,
    listed: list[dict[str, Any]],
    records: pl.DataFrame,
    state: normalise.State,
    flow: Flow,
) -> dict[str, Any]:
    """The manifest; it names no patient. listed: of `describe_files`."""
    root = getattr(run.source, "root", None)
    held = [name for name in (*SPLITS, REST) if name in set(records["split"])]
    splits = {name: split_counts(records.filter(pl.col("split") == name), labels) for name in held}
    content = {
        "task": run.task,
        "synthetic": run.synthetic or flow.synthetic,
        "settings": data_settings(run),
        "files": listed,
        "flow": flow.steps,
        "refused": flow.refused,
        "coverage": [asdict(entry) for entry in flow.coverage],
        "audits": flow.audits,
        "prevalences": prevalences(records, labels.names),
        "ideal": ideal_of(run, root),
        "splits": splits,
        "remarks": remarks(run, splits, flow),
        "label_rules": source.label_rules,
        "versions": {
            "i2m2_med": i2m2_med.__version__,
            "polars": pl.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    data = [
        content["settings"],
        [{k: v for k, v in item.items() if k != "mtime"} for item in listed],
        content["splits"],
        digest(state),
    ]
    return {"fingerprint": digest(data), **content}


def describe_folds(manifest: dict[str, Any], parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The manifest of a whole cross-validation: every patient tests, and each of `folds` has its own splits and fingerprint.

    manifest: of all samples as `test`; parts: of each fold.
    """
    folds = [{"fingerprint": part["fingerprint"], "splits": part["splits"]} for part in parts]
    words = [
        f"In the test part of fold {number} {', '.join(single)} has one class only: it is judged with all folds together."
        for number, part in enumerate(parts)
        if (single := single_classed(part["splits"]["test"]))
    ]
    fingerprint = digest([manifest["fingerprint"], folds])
    return manifest | {"fingerprint": fingerprint, "folds": folds, "remarks": [*manifest["remarks"], *words]}


def single_classed(counts: Mapping[str, Any]) -> list[str]:
    """Labels of which a split holds one class at most. counts: of `split_counts`."""
    return [name for name, classes in counts["classes"].items() if sum(n > 0 for n in classes.values()) < 2]


def ideal_of(run: RunConfig, root: Path | None) -> dict[str, Any] | None:
    """Return the ideal observer's AUROCs and nats, which simulators write beside their data; None for real data."""
    path = Path(root or ".") / IDEAL
    return json.loads(path.read_text(encoding="utf-8")) if run.synthetic and path.exists() else None


def remarks(run: RunConfig, splits: Mapping[str, Any], flow: Flow) -> list[str]:
    """Return sentences on what may not be claimed from these data; every table and report repeats them."""
    synthetic = run.synthetic or flow.synthetic
    notices = ["The data are synthetic: no figure says anything about patients."] if synthetic else []
    notices += flow.remarks
    patients = splits["test"]["patients"]
    if patients < FEWEST_PATIENTS:
        notices.append(f"Too few patients in the test split ({patients}): no accuracy can be claimed from it.")
    if RANKED in flow.audits["split"]:
        notices.append(
            "The cohort is small: patients were split by the rank of their hash, so a larger cohort will place them anew."
        )
    for split, counts in splits.items():
        if single := single_classed(counts):
            notices.append(
                f"In the {split} split {', '.join(single)} has one class only: its ranking metrics are undefined."
            )
    return notices


def split_counts(records: pl.DataFrame, labels: Labels) -> dict[str, Any]:
    """Patients, studies, samples and class counts of one split."""
    classes = {
        name: {outcome: int((records[f"label_{name}"] == index).sum()) for index, outcome in enumerate(labels.classes)}
        for name in labels.names
    }
    unknown = {name: int((records[f"label_{name}"] == -1).sum()) for name in labels.names}
    sizes = {kind: records[kind].n_unique() for kind in ("patient", "study")}
    return {
        "patients": sizes["patient"],
        "studies": sizes["study"],
        "samples": len(records),
        "classes": classes,
        "unknown": unknown,
    }
