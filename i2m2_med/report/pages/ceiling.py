"""AUROC and information of an ideal observer on simulated data, as the simulator wrote it beside them and `prepare` into the manifest."""

from collections.abc import Mapping
from typing import Any

from i2m2_med.config.run import RunConfig
from i2m2_med.report.pages.figures import Ideal


def ideal_observer(run: RunConfig, manifest: Mapping[str, Any]) -> Ideal:
    """By paradigm and label, the AUROC of an ideal observer of what the paradigm reads; empty for real data."""
    ideal: Mapping[str, Any] = manifest.get("ideal") or {}
    by_label: Mapping[str, Mapping[str, float]] = _variant(ideal.get("variants", {}), run) or ideal.get("auroc", {})
    like = {name: _like(run, name) for name in run.paradigms}
    return {
        name: {label: best[known] for label, best in by_label.items() for known in (same, name) if known in best}
        for name, same in like.items()
    }


def ideal_information(run: RunConfig, manifest: Mapping[str, Any]) -> str:
    """Return a sentence: nats of an ideal observer of all modalities and of each alone, the mean over labels; empty for real data."""
    ideal: Mapping[str, Any] = manifest.get("ideal") or {}
    by_label: Mapping[str, Mapping[str, float]] = _variant(ideal.get("nats_variants", {}), run) or ideal.get("nats", {})
    known = [by_label[label] for label in manifest["splits"]["test"]["classes"] if label in by_label]
    if not known:
        return ""
    mean = {name: sum(own[name] for own in known) / len(known) for name in known[0]}
    alone = [
        f"{name.removeprefix('unimodal_')} {nats:.3f}" for name, nats in mean.items() if name.startswith("unimodal_")
    ]
    return (
        f"An ideal observer of these simulated data gets {mean['inter']:.3f} nats together; alone: {', '.join(alone)}"
        f"{' (mean over labels)' if len(known) > 1 else ''}: no model can do better."
    )


def _like(run: RunConfig, paradigm: str) -> str:
    """The paper's paradigm that reads the same: a control with more networks or another combiner has its ceiling."""
    reads = {run.experts[name].reads for name in run.paradigms[paradigm].experts}
    every = {modality for expert in run.experts.values() for modality in expert.reads}
    if any(set(names) == every for names in reads):
        return "inter"
    if all(len(names) == 1 for names in reads):
        return f"unimodal_{next(iter(reads))[0]}" if len(reads) == 1 else "intra" if len(reads) == len(every) else ""
    return ""


def _variant(variants: Mapping[str, Any], run: RunConfig) -> Mapping[str, Any] | None:
    """The ceiling for what this run reads, named `<profile>:<modality>+<modality>…`, if the simulator computed it."""
    read = {modality for expert in run.experts.values() for modality in expert.reads}
    profile = getattr(run.source, "profile", "")
    chosen = [key for key in variants if key.split(":")[0] == profile and set(key.split(":")[-1].split("+")) == read]
    return variants[chosen[0]] if chosen else None
