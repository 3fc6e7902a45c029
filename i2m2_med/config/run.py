"""RunConfig: a run's settings, closed and typed. MONAI `_target_` blocks stand inside; only listed classes may be named."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, model_validator

from i2m2_med.config.evaluation import Evaluation
from i2m2_med.config.experts import Expert, Paradigm, derive_paradigms
from i2m2_med.config.modalities import Modalities
from i2m2_med.config.settings import Settings, Target
from i2m2_med.config.training import Training, apply_training
from i2m2_med.config.tuning import Tune

IDEAL = "ideal.json"
"""The file that simulators write beside their data: the AUROC that an observer who knows the truth reaches, by paradigm and label."""


class Tracking(Settings):
    """Where runs are recorded."""

    experiment: str | None = None
    """MLflow experiment; the config's name where not said."""
    uri: str | None = None
    """MLflow store; `sqlite:///…/mlflow.db` in the workspace where not said."""


class Scoring(Settings):
    """How folders of studies are scored."""

    batch: Annotated[int, Field(ge=1, le=1_000_000)] = 16
    """Samples per forward pass."""


class Split(Settings):
    """Which patients train, validate and test: by a hash of the patient, stable when the cohort changes; `split: official`, `{file: …}`
    or `{folds: 5}`."""

    came_later = ("test_group", "official", "file", "folds", "fold")
    salt: str = "i2m2"
    """Another salt gives another split of the same patients."""
    valid: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Share of the patients that validate."""
    test: Annotated[float, Field(ge=0, lt=1)] = 0.15
    """Share of the patients that test."""
    official: bool = False
    """As the data set itself is divided (also written `split: official`): its `val` is test, and validation is cut from its `train`
by patient, a share of `valid`."""
    file: Path | None = None
    """CSV that names the split (train, valid or val, test) of each volume or each patient; its columns may have any names. With
    `folds`, it names the fold in which each tests, 0 to folds − 1 or 1 to folds."""
    folds: Annotated[int, Field(ge=2, le=50)] | None = None
    """Cross-validation: patients in so many folds, stratified by labels and groups; each fold is tested by a model that was trained
    and validated (a share of `valid`) on the others. `test` and the data set's own split are not used."""
    fold: Annotated[int, Field(ge=0, lt=50)] | None = None
    """One fold alone, counted from 0; all of them, one after another, where not said."""
    test_group: dict[str, str | tuple[str, ...]] = {}
    """Leave a group out of training and test on it, such as `{acquisition: CORPDFS_FBK}`: its samples are `test`, and those of
    other groups whose patients training does not know either are `rest`, which every report shows beside it."""

    @model_validator(mode="before")
    @classmethod
    def _in_a_word(cls, content: Any) -> Any:
        return {"official": True} if content == "official" else content

    @model_validator(mode="after")
    def _one_way(self) -> "Split":
        if self.official and self.file:
            raise ValueError("official and file are two ways to split; keep one")
        if self.folds and (self.official or self.test_group):
            raise ValueError("folds divides all patients, so it goes with neither official nor test_group")
        if self.fold is not None and self.fold >= (self.folds or 0):
            raise ValueError(f"fold {self.fold} is none of {self.folds or 0} folds, which are counted from 0")
        return self

    @property
    def cross_validated(self) -> bool:
        """Whether this is a whole cross-validation, not one split of the data."""
        return self.folds is not None and self.fold is None

    def fingerprinted(self) -> dict[str, Any]:
        """Without `file`, which counts by its content as every source file does."""
        return {name: value for name, value in super().fingerprinted().items() if name != "file"}


class RunConfig(Settings):
    """A run, whole. Values only; every part that does something is named by `_target_` or by the source's name."""

    version: Literal[1] = 1
    """Of the settings: a config of another version is refused."""
    task: str
    """The prediction task in a word or two, for tables and reports."""
    synthetic: bool = False
    """The data are simulated: every figure and table says so. Data beside which an `ideal.json` lies are, whatever is said here."""
    source: SerializeAsAny[Settings]
    """The data set: its `name` and its own settings, listed below under that name."""
    modalities: Modalities = Modalities()
    """From record to modality tensors."""
    split: Split = Split()
    """Which patients train, validate and test."""
    experts: Annotated[dict[str, Expert], Field(min_length=1)]
    """By name, the predictors; those that read one modality are unimodal, the others joint. `auto`, where a source knows its
    modalities' shapes: one for each of them and a joint one, written out in full into the recorded config."""
    combiner: Target = {"_target_": "i2m2_med.combiners.ProductOfExperts"}
    """How the experts' log-probabilities become one."""
    paradigms: dict[str, Paradigm] = {}
    """By name; where none are given: unimodal_*, intra, inter and i2m2, as far as the experts make them."""
    paradigm: str = "i2m2"
    """The one that `train` trains."""
    training: Training = Training()
    """How the experts are trained."""
    evaluation: Evaluation = Evaluation()
    """How runs are judged."""
    tracking: Tracking = Tracking()
    """Where runs are recorded."""
    scoring: Scoring = Scoring()
    """How folders of studies are scored."""
    tune: Tune = Tune()
    """What `i2m2 tune` searches."""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0, le=2**53)], ...], Field(min_length=1, max_length=1_000)] = (0,)
    """One run per paradigm and seed of initialisation and sampling."""
    data_hash: Literal["content", "stat"] = "content"
    """How the manifest knows source files: by sha256, or (quick, for hundreds of GB) by size and time of change."""
    plugins: tuple[str, ...] = ()
    """Packages whose classes a `_target_` may name beside the listed ones: whoever adds one trusts that code."""

    @model_validator(mode="after")
    def check_names(self) -> "RunConfig":
        """Paradigms name experts, experts and the run name what exists."""
        if not self.paradigms:
            object.__setattr__(self, "paradigms", derive_paradigms(self.experts))
        for name, paradigm in self.paradigms.items():
            for expert in paradigm.experts:
                if expert not in self.experts:
                    raise ValueError(f"paradigms.{name} names the expert '{expert}'{nearest(expert, self.experts)}")
            for expert in paradigm.frozen:
                if expert not in paradigm.experts:
                    raise ValueError(f"paradigms.{name}.frozen names '{expert}'{nearest(expert, paradigm.experts)}")
            if set(paradigm.frozen) == set(paradigm.experts):
                raise ValueError(f"paradigms.{name}.frozen leaves no expert to train")
            apply_training(self.training, paradigm.training)
        for rival in self.evaluation.primary.rivals if self.evaluation.primary else ():
            if rival not in self.paradigms:
                choice = nearest(rival, self.paradigms)
                raise ValueError(f"evaluation.primary.rivals names '{rival}' (none: evaluation.primary=null){choice}")
            if rival == self.evaluation.reference:
                raise ValueError(f"evaluation.primary.rivals names '{rival}', which is the reference itself")
        for expert in self.experts.values():
            apply_training(self.training, {**self.training.separate, **expert.training})
        if self.paradigm not in self.paradigms:
            raise ValueError(
                f"paradigm '{self.paradigm}' is not one of the run's{nearest(self.paradigm, self.paradigms)}"
            )
        return self

    def of_fold(self, fold: int | None) -> "RunConfig":
        """The same run on one fold of its cross-validation; None: on all of them."""
        return self.model_copy(update={"split": self.split.model_copy(update={"fold": fold})})

    @property
    def first_metric(self) -> str:
        """The metric that a run is first judged by: of the primary comparison, else what epochs are chosen by if that is an accuracy,
        else AUROC."""
        if self.evaluation.primary:
            return self.evaluation.primary.metric
        return self.training.select if self.training.select in {"accuracy", "soft_accuracy"} else "auroc"

    def reference_among(self, paradigms: Collection[str]) -> str:
        """The paradigm that the others are paired with: `evaluation.reference` where it is one of them, else what `train` trains."""
        asked = self.evaluation.reference
        return asked if asked in paradigms else self.paradigm


def nearest(name: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    """'; did you mean …?' or what there is to choose from."""
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; choose from {', '.join(known)}"
