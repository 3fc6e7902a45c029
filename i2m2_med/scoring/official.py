"""What was decided of each study, in the format that the data set's own evaluation takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from i2m2_med.config.reader import source_names
from i2m2_med.scoring.results import ResultStore
from i2m2_med.sources.source import Results


@dataclass(frozen=True)
class ModelFacts:
    """What the tables at the end of a run take from its model; parts note it for `merge`."""

    experts: tuple[str, ...] = ()
    source: str = ""
    labels: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    @classmethod
    def noted(cls, note: Mapping[str, Any]) -> "ModelFacts":
        """Return the facts of a part's note; notes of older versions name the experts only."""
        return cls(
            tuple(note.get("experts", ())),
            str(note.get("source", "")),
            tuple(note.get("labels", ())),
            tuple(note.get("classes", ())),
        )

    @property
    def results(self) -> Results | None:
        """Return the format that the data set declares for one label, if any."""
        if self.source not in source_names() or len(self.labels) != 1:
            return None
        return import_module(f"i2m2_med.sources.{self.source}").Source.results


def write_results(store: ResultStore, names: Sequence[str], facts: ModelFacts) -> tuple[str, int] | None:
    """Write the file for the data set's own evaluation, without studies that were refused or that it doesn't know by name.

    Returns the file's name and the number of studies in it; None where there is no such file to write.
    """
    results = facts.results
    if results is None:
        return None
    known = [name for name in names if results.study.fullmatch(name)]
    scored = zip(known, store.read_all(known), strict=True)
    decided = {name: decision(result["rows"]) for name, result in scored if result["rows"]}
    if not decided:
        store.remove(results.name)  # of studies that were scored here before
        return None
    store.write(results.name, results.text({name: facts.classes[cls] for name, cls in decided.items()}))
    return results.name, len(decided)


def decision(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return the class decided on: the row's own decision, the likeliest class where there is none."""
    likeliest = max(rows, key=lambda row: row["p"])
    return int(likeliest["class"] if (made := likeliest.get("decision")) is None else made)
