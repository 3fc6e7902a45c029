"""What an ideal observer reaches on simulated data, as the simulator wrote it beside them and `prepare` into the manifest."""

from collections.abc import Mapping
from typing import Any

from i2m2_med.config import RunConfig
from i2m2_med.report.figures import Ideal


def ideal_observer(run: RunConfig, manifest: Mapping[str, Any]) -> Ideal:
    """By paradigm and label, the AUROC of an ideal observer of what the paradigm reads; empty for real data."""
    found: Mapping[str, Any] = manifest.get("ideal") or {}
    by_label: Mapping[str, Mapping[str, float]] = _variant(found.get("variants", {}), run) or found.get("auroc", {})
    return {name: {label: best[name] for label, best in by_label.items() if name in best} for name in run.paradigms}


def _variant(variants: Mapping[str, Any], run: RunConfig) -> Mapping[str, Any] | None:
    """The ceiling for what this run reads, named `<profile>:<modality>+<modality>…`, if the simulator computed it."""
    read = {modality for expert in run.experts.values() for modality in expert.reads}
    profile = getattr(run.source, "profile", "")
    chosen = [key for key in variants if key.split(":")[0] == profile and set(key.split(":")[-1].split("+")) == read]
    return variants[chosen[0]] if chosen else None
