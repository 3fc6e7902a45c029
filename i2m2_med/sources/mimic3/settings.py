"""Settings of `source: {name: mimic3, …}`. Two profiles, each a set of single flags, so that an ablation can price every one."""

import unicodedata
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from i2m2_med.config import settings
from i2m2_med.sources.mimic3.database import copied_to, is_address, plain
from i2m2_med.sources.text.settings import Text

CLEAN: dict[str, Any] = {
    "unit": "first_stay",
    "length": "stay",
    "origin": "icu_intime",
    "bins": "half_open",
    "fill": "causal",
    "items": "checked",
    "available": "stored",
    "moments": "last_stored",
    "gcs": "verbal_missing",
    "normalise": "train",
    "age": "years",
    "comorbidities": "earlier_admissions",
    "outcome": "exclusive",
    "split": "by_patient",
}
COMPAT: dict[str, Any] = {
    "unit": "first_admission",
    "length": "records",
    "origin": "first_record",
    "bins": "closed",
    "fill": "whole_stay",
    "items": "published",
    "available": "charted",
    "moments": "published",
    "gcs": "published",
    "normalise": "all_samples",
    "age": "days",
    "comorbidities": "this_admission",
    "outcome": "published",
    "split": "seed_10",
}
PROFILES = {"clean": CLEAN, "i2m2_compat": COMPAT}
BENCHMARK: dict[str, Any] = {"unit": "single_stay", "minimum_age": 18, "channels": "benchmark17"}
AT_DISCHARGE: dict[str, Any] = {**BENCHMARK, "window_hours": 48, "origin": "before_outtime"}
TASKS: dict[str, dict[str, Any]] = {
    "ihm48": {**BENCHMARK, "window_hours": 48},
    "los": BENCHMARK,
    "decompensation": BENCHMARK,
    "sepsis3": {**BENCHMARK, "unit": "every_stay", "ahead_hours": 6.0},
    "phenotyping": AT_DISCHARGE,
    "readmission": AT_DISCHARGE,
}
"""What a task sets where the config is silent: the cohort and channels of mimic3-benchmarks."""
HOURLY = ("los", "decompensation", "sepsis3")
"""Tasks with a sample for every hour of a stay."""


def plain_words(category: str) -> str:
    """Return a category in small letters, without blanks around it and signs that nobody sees (soft hyphens)."""
    folded = unicodedata.normalize("NFKC", category).casefold()
    return "".join(sign for sign in folded if unicodedata.category(sign) != "Cf").strip()


class Notes(Text):
    """Which notes are read, and how they become tokens."""

    categories: tuple[str, ...] = (
        "Nursing",
        "Nursing/other",
        "Physician",
        "Respiratory",
        "Radiology",
        "ECG",
        "Echo",
        "General",
        "Nutrition",
    )
    """Allowed categories (blanks around them don't count). Discharge summaries are refused: they are written after the outcome."""

    @model_validator(mode="after")
    def sensible(self) -> "Notes":
        if any(plain_words(category) == "discharge summary" for category in self.categories):
            raise ValueError("a discharge summary is written after the outcome and can't be an input")
        return self


class Settings(settings.Settings):
    """`configs/parts/mimic3.yaml`. A flag that is not given comes from the profile (and the task)."""

    came_later = (
        "unreadable",
        "bin_hours",
        "first_hour",
        "every_hours",
        "last_hour",
        "ahead_hours",
        "los_days",
        "readmission_days",
        "pictures",
        "ecgs",
        "picture_views",
    )
    name: Literal["mimic3"] = "mimic3"
    root: Path
    """Folder of the tables: NAME.csv.gz, NAME.csv or NAME.parquet, file names and headers in either case. Or a database,
    `postgresql://user@host/mimic`: its tables are copied into the workspace first; the password is $PGPASSWORD or in ~/.pgpass."""
    database: str | None = Field(None, exclude=True, repr=False)
    """The database that `root` was copied from: follows from `root`, and is never written down."""
    profile: Literal["clean", "i2m2_compat"] = "clean"
    """`clean` holds nothing from after the prediction time; `i2m2_compat` is the published task, leaks included."""
    task: Literal["mortality", "icd9", "ihm48", "los", "phenotyping", "readmission", "decompensation", "sepsis3"] = (
        "mortality"
    )
    """Mortality in six classes, a group of ICD-9 diagnoses (`icd9_group`), the four tasks of mimic3-benchmarks (in-hospital mortality
    after 48 hours, remaining length of stay, 25 phenotypes, decompensation), readmission, or Sepsis-3; `tasks.py` defines each."""
    icd9_group: int = Field(1, ge=0, le=20)
    """Group of the ICD-9 task: 0 = 001–139, 1 = 140–239, … 7 = 460–519, … 19 = V, 20 = E."""
    window_hours: int = Field(24, ge=1)
    """Length of the input."""
    bin_hours: int = Field(1, ge=1)
    """Width of the bins that the input is parted into; a network's `hours` is then `window_hours / bin_hours`."""
    first_hour: int = Field(5, ge=1)
    """Hourly tasks: hours after ICU admission of a stay's first sample."""
    every_hours: int = Field(1, ge=1)
    """Hourly tasks: hours from one sample to the next."""
    last_hour: int | None = Field(None, ge=1)
    """Hourly tasks: no sample later than this; all of the stay where none is given. The same as `first_hour`: one sample a stay."""
    ahead_hours: float = Field(24.0, gt=0)
    """Decompensation and Sepsis-3: whether it comes within so many hours after the sample's time."""
    los_days: tuple[float, ...] = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 14.0)
    """Remaining length of stay: the days that part its classes."""
    readmission_days: float = Field(30.0, gt=0)
    """Readmission: counted within so many days of discharge."""
    gap_hours: float = Field(0.0, ge=0)
    """Prediction time is this long after the input ends; whoever dies or leaves before it is out (clean)."""
    horizons: tuple[float, ...] = (24.0, 48.0, 72.0, 168.0, 8766.0)
    """Hours after the prediction time that part the exclusive mortality classes; later or never is class 0."""
    minimum_age: float = Field(15.0, ge=0)
    """Years at admission below which a subject is left out."""
    channels: Literal["saps12", "benchmark17"] = "saps12"
    """The 12 series of the paper, or the 17 of mimic3-benchmarks."""
    series_channels: tuple[Literal["value", "mask", "since"], ...] = ("value",)
    """Columns that each channel gives: its value, whether it was measured in that hour (0/1), hours since it last was."""
    unreadable: float = Field(0.01, ge=0, le=1)
    """Share of a column's cells (of an item's units) that may be unreadable: above it `prepare` refuses, below it says so."""
    notes: Notes | None = None
    """How notes are read; without it they are not a modality."""
    pictures: Path | None = None
    """CSV that joins pictures to stays (`manifest.py`), such as MIMIC-CXR-JPG's metadata; they are the modality `picture`."""
    picture_views: tuple[str, ...] = ()
    """Of a manifest with a column `ViewPosition`, the views that count, such as `[AP, PA]`; all where none is given."""
    ecgs: Path | None = None
    """CSV that joins ECGs (WFDB) to stays, such as MIMIC-IV-ECG's `record_list.csv`; they are the modality `ecg`."""
    cancer_flags: bool = True
    """Whether the static columns of haematological malignancy and metastatic cancer are filled (else 0): they leak ICD-9 group 1."""

    unit: Literal["first_stay", "every_stay", "single_stay", "first_admission"] = "first_stay"
    """A sample is a subject's first ICU stay, any stay, the only stay of an admission in one ward, or the first admission, stays merged."""
    length: Literal["stay", "records"] = "stay"
    """Long enough is: in the ICU until the prediction time, or first to last record longer than the window."""
    origin: Literal["icu_intime", "first_record", "before_outtime"] = "icu_intime"
    """Hour 0: the admission to the ICU, the first value that was charted, or as long before leaving the ICU as the input lasts."""
    bins: Literal["half_open", "closed"] = "half_open"
    """Closed bins count a record on the hour twice."""
    fill: Literal["causal", "whole_stay"] = "causal"
    """Causal: the last value before, else not measured. Whole stay: from the future too."""
    items: Literal["checked", "all_urine", "published"] = "checked"
    """Checked: units, specimens, error marks and labels of items are held to, drains are no urine; all_urine: urine of the operating
    and recovery rooms and from nephrostomies too; published: the lists and joins as the public code has them."""
    available: Literal["stored", "charted"] = "stored"
    """Stored: a value counts if it was charted and stored before the input ended. Charted: its charted time alone decides."""
    moments: Literal["last_stored", "published"] = "last_stored"
    """Of several values of a channel at one moment: the one stored last, else their median; published: mean, least or largest,
    each as the public code has it."""
    gcs: Literal["verbal_missing", "published"] = "verbal_missing"
    """Coma score of the intubated: their verbal response is missing (the one before within 6 h, else normal); published: 15."""
    normalise: Literal["train", "all_samples"] = "train"
    """Train: the cohort builder's business. All samples: not measured → 0, then z-scores over all, test set included."""
    age: Literal["years", "days"] = "years"
    """Years, at most 90; or days as the public code counts them (about 110,000 above 89)."""
    comorbidities: Literal["earlier_admissions", "this_admission"] = "earlier_admissions"
    """Whose diagnosis codes fill the static flags; this admission's are coded after discharge."""
    outcome: Literal["exclusive", "published"] = "exclusive"
    """Exclusive horizons from the prediction time, or the nested labels of the public code, read in its order."""
    split: Literal["by_patient", "seed_10"] = "by_patient"
    """By the run's `split`, or the published shuffle of samples with seed 10."""

    @model_validator(mode="before")
    @classmethod
    def from_profile(cls, given: Any) -> Any:
        """Fill in what the profile and the task say where nothing is given."""
        if not isinstance(given, dict):
            return given
        if is_address(given.get("root")):
            address = plain(str(given["root"]))
            given = {**given, "root": copied_to(address, cls.model_fields["name"].default), "database": address}
        profile = PROFILES.get(given.get("profile", "clean"), CLEAN)
        return {**profile, **TASKS.get(str(given.get("task")), {}), **given}

    @model_validator(mode="after")
    def sensible(self) -> "Settings":
        if not self.horizons or list(self.horizons) != sorted(set(self.horizons)) or self.horizons[0] <= 0:
            raise ValueError("horizons must be positive hours in rising order")
        if not self.series_channels or len(set(self.series_channels)) < len(self.series_channels):
            raise ValueError("series_channels must name each of value, mask, since at most once, and at least one")
        if self.window_hours % self.bin_hours:
            raise ValueError("window_hours must be a multiple of bin_hours")
        if not self.los_days or list(self.los_days) != sorted(set(self.los_days)) or self.los_days[0] <= 0:
            raise ValueError("los_days must be positive days in rising order")
        if self.origin == "before_outtime" and (self.fill != "causal" or self.unit == "first_admission"):
            raise ValueError("origin: before_outtime needs fill: causal, and a unit of single stays")
        if self.hourly:
            self.check_hourly()
        return self

    def check_hourly(self) -> None:
        """Raise ValueError where a flag doesn't go with a sample for every hour."""
        needs = {"origin": "icu_intime", "fill": "causal", "bins": "half_open", "length": "stay", "bin_hours": 1}
        needs |= {"channels": "benchmark17", "normalise": "train", "split": "by_patient", "outcome": "exclusive"}
        needs |= {"gap_hours": 0}
        for name, value in needs.items():
            if getattr(self, name) != value:
                raise ValueError(f"task: {self.task} has a sample for every hour and needs {name}: {value}")
        if self.unit == "first_admission":
            raise ValueError(
                f"task: {self.task} has a sample for every hour of a stay and needs a unit of single stays"
            )
        if self.last_hour is not None and self.last_hour < self.first_hour:
            raise ValueError("last_hour must not come before first_hour")

    @property
    def hourly(self) -> bool:
        """Whether every hour of a stay is a sample."""
        return self.task in HOURLY

    @property
    def at_the_end(self) -> bool:
        """Whether an input ends with what is known last, not so many hours after the ICU admission."""
        return self.hourly or self.origin == "before_outtime"

    @property
    def n_bins(self) -> int:
        """Bins of the input."""
        return self.window_hours // self.bin_hours

    @property
    def claims_clean(self) -> bool:
        """Whether no input (nor the choice of samples by their records) may hold anything from after the window."""
        own = self.normalise == "train" and self.comorbidities == "earlier_admissions"
        return own and self.fill == "causal" and self.length == "stay" and self.available == "stored"
