"""RunConfig: a run's settings, closed and typed. MONAI `_target_` blocks stand inside; only listed classes may be named."""

from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SerializeAsAny, model_validator

from i2m2_med.config.settings import Settings
from i2m2_med.config.tuning import Tune

IDEAL = "ideal.json"
"""The file that simulators write beside their data: the AUROC that an observer who knows the truth reaches, by paradigm and label."""

Target = dict[str, Any]
"""A block with `_target_` and keyword arguments: a network, transform, combiner, optimizer or scheduler."""

MOST_TRANSFORMS = 200
"""Transforms of a list: each may take seconds of every sample."""


class Pretrained(Settings):
    """First weights of a part of a network. Only training a fresh model reads them: the trained model has weights of its own."""

    file: Path
    """A state dict (`torch.save(model.state_dict(), …)`), safetensors, or a MONAI bundle's folder (`models/model.pt` or
    `model.safetensors`); values are read, code is never run."""
    part: str = ""
    """The part of `network` by its dotted name, such as `encoders.0.network`; the whole network where not given."""
    prefix: str = ""
    """What the file's names begin with before the part's own, such as `module.` or `backbone.`; other tensors are left out."""
    frozen: bool = False
    """Keep the part as it is: no parameter is trained, no running statistic of its norms moves, nothing is dropped out."""


class Expert(Settings):
    """One predictor: the modalities it reads, and its network."""

    reads: Annotated[tuple[str, ...], Field(min_length=1)]
    """The modalities, in the order in which `network` takes them."""
    needs: Literal["all", "any"] = "all"
    """Which of `reads` a sample must have: `all`, or `any` of them for a network that takes `present` too and does without the others."""
    network: Target
    """Called with the modalities in the order of `reads`, → logits (batch, label, classes)."""
    training: dict[str, Any] = {}
    """Settings of `training` that this expert overrides while it is trained alone (`mode: separate`, or before a warm start)."""
    weights: Annotated[tuple[Pretrained, ...], Field(max_length=100)] = ()
    """First weights of parts of `network`, instead of random ones; the same in every paradigm and seed."""

    @property
    def needed(self) -> str:
        """The modalities without which it can't judge: 'static+series', or 'static or series'."""
        return (" or " if self.needs == "any" else "+").join(self.reads)


class JoinedColumns(Settings):
    """Numbers and categories of a table beside the data set, a row per patient or study."""

    table: Path
    """CSV, TSV, Parquet or Excel."""
    by: Literal["patient", "study"] = "patient"
    """Whether a row is of a patient or of a study, named as the data set names them."""
    key: str | None = None
    """The table's column that names them; called `patient` or `study` where not given."""
    columns: Annotated[tuple[str, ...], Field(min_length=1, max_length=10_000)]
    """The input columns; numbers are put before categories."""
    categories: tuple[str, ...] = ()
    """Those of them that hold words."""
    levels: Annotated[int, Field(ge=2, le=1_000)] = 30
    """Words of a category that are told apart, the most frequent of training."""
    allow: tuple[str, ...] = ()
    """Columns that are read although they look like identifiers, or all but say a label."""

    @model_validator(mode="after")
    def _known(self) -> "JoinedColumns":
        if strangers := sorted(set(self.categories) - set(self.columns)):
            raise ValueError(f"categories names {', '.join(strangers)}, which columns does not")
        return self

    def fingerprinted(self) -> dict[str, Any]:
        """Without `table`, which counts by its content as every source file does."""
        return {name: value for name, value in super().fingerprinted().items() if name != "table"}


class Modalities(Settings):
    """From record to modality tensors."""

    transforms: Annotated[tuple[Target, ...], Field(max_length=MOST_TRANSFORMS)] = ()
    """MONAI dictionary transforms, in order, for data sets that are read record by record."""
    train_transforms: Annotated[tuple[Target, ...], Field(max_length=MOST_TRANSFORMS)] = ()
    """Augmentations, after `transforms`, for the training split only."""
    cache: bool | Literal["disk"] = False
    """Keep samples after `transforms`: in memory (`true`: for data sets that fit, read once by the one process that trains), or on
    `disk`, in the workspace's `cache/samples`: read and decoded once for all paradigms, seeds, folds and worker processes."""
    columns: dict[str, JoinedColumns] = {}
    """By modality, columns of a table beside any data set: `{clinical: {table: clinical.csv, columns: [age, sex], categories: [sex]}}`.
    A study to score brings them as `clinical.json`."""
    normalise: dict[str, Literal["standard", "none"]] = {}
    """By modality; `standard` subtracts the mean and divides by the standard deviation of the training split, per channel."""


class Paradigm(Settings):
    """A choice of experts, and where they differ from the run's: combiner and training."""

    came_later = ("frozen",)
    experts: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of the run's experts that it multiplies."""
    frozen: tuple[str, ...] = ()
    """Those of them that are trained alone first and then stay as they are while the others are trained, such as the biased expert
    of a product that is to learn what the bias does not explain (Clark et al. 2019)."""
    combiner: Target | None = None
    """Its own combiner; the run's where not said."""
    training: dict[str, Any] = {}
    """Settings of `training` that this paradigm overrides."""


class Training(Settings):
    """How the experts are trained. Every paradigm of a comparison gets the same."""

    mode: Literal["joint", "separate", "joint+aux", "ogm-ge", "stacked"] = "joint"
    """`joint`: loss on the combination; `separate`: each expert alone; `joint+aux`: joint plus `aux_weight` × each expert's own loss;
    `ogm-ge`: joint, where an expert that is ahead of the others learns more slowly (Peng et al., CVPR 2022); `stacked`: each expert
    alone, then the combiner's parameters on validation samples, which the experts did not learn from (Wolpert 1992)."""
    aux_weight: Annotated[float, Field(ge=0)] = 0.5
    """Weight λ of each expert's own loss in `joint+aux`."""
    ogm_alpha: Annotated[float, Field(gt=0)] = 0.5
    """How strongly `ogm-ge` slows an expert that is ahead: its α, published between 0.1 and 1."""
    warm_start: str | None = None
    """`separate` (train each expert alone first, with `separate` below), or a folder of expert weights (`<expert>.safetensors`)."""
    separate: dict[str, Any] = {}
    """Settings of `training` that the separate stage overrides (`mode: separate`, or before a warm start)."""
    modality_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability that a training sample loses a modality (never its last one)."""
    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    """Passes over the training split, at most."""
    batch: Annotated[int, Field(ge=1, le=1_000_000)] = 32
    """Samples per step."""
    learning_rate: (
        Annotated[float, Field(gt=0)] | Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]
    ) = 1e-3
    """Of several, each stage of training takes the one with the best `select`: every paradigm has the same choice."""
    optimizer: Target = {"_target_": "torch.optim.AdamW"}
    """A torch optimizer; the parameters and the learning rate are given to it."""
    loss: Target = {"_target_": "i2m2_med.engine.training.loss.MaskedNLL"}
    """Applied to the log-probabilities of the combination, label by label, where the label is known: the negative log-likelihood,
    `monai.losses.FocalLoss` or `torch.nn.CrossEntropyLoss` (`label_smoothing`). Another loss is called like torch's."""
    scheduler: Target | None = None
    """A torch scheduler, stepped once an epoch."""
    clip: Annotated[float, Field(gt=0)] | None = None
    """Largest norm of the gradient."""
    class_weights: bool = False
    """Weight each label's classes by N / N_c of the training split; the loss has to take a `weight`."""
    patience: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Stop after this many epochs without a better `select`."""
    select: Literal["nll", "auroc", "average_precision", "accuracy", "soft_accuracy"] = "nll"
    """The validation metric whose best epoch is kept; a mean over labels. Of more than 50 classes nothing is ranked: neither
    `auroc` nor `average_precision`. `soft_accuracy`: mean score of the class decided on, where labels have soft scores."""
    workers: Annotated[int, Field(ge=0, le=1_024)] = 0
    """Processes that read samples; arrays in memory need none."""
    memory: Literal["all", "one_expert"] = "all"
    """What is kept for the gradient: `all` activations, or `one_expert`'s at a time: the same gradients, and experts are computed twice."""
    parallel: Literal["data", "experts"] = "data"
    """What several processes share: `data`, each a part of every batch, or `experts`, each computing some of them on the whole batch, so
    that only what experts say travels in a step."""
    accumulate: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Parts in which a `batch` is computed, one after another, so that memory is a part's: the same gradients, and parts are computed
    twice. Batch norms see a part."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it is trained; `auto`: on a GPU where there is one. Processes that share a training have one each."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Of networks on a GPU; `auto`: `fp16` with scaled gradients. CPUs compute in `fp32`, and refuse to be asked for less."""
    compile: bool = False
    """Let torch compile each expert's network: minutes at first, then faster steps on a GPU."""

    @model_validator(mode="before")
    @classmethod
    def _amp(cls, content: Any) -> Any:
        """`amp: true` and `false` of older configs are `precision: auto` and `fp32`."""
        if isinstance(content, dict) and isinstance(content.get("amp"), bool):
            content = {**content}
            content["precision"] = "auto" if content.pop("amp") else "fp32"
        return content

    @property
    def alone_first(self) -> bool:
        """Whether each expert is trained by itself before (or instead of) a stage of all."""
        return "separate" in {self.mode, self.warm_start} or self.mode == "stacked"

    @property
    def learning_rates(self) -> tuple[float, ...]:
        """The learning rates to choose from."""
        return self.learning_rate if isinstance(self.learning_rate, tuple) else (self.learning_rate,)


class PrimaryComparison(Settings):
    """The one comparison that was chosen before any result was seen: its p-values alone are adjusted and may be concluded from."""

    metric: Literal["auroc", "average_precision", "accuracy", "balanced_accuracy", "nll", "brier", "soft_accuracy"] = (
        "auroc"
    )
    """Of samples; the mean over labels where there are several."""
    rivals: tuple[str, ...] = ()
    """Paradigms that the reference is tested against, with Holm's adjustment over them; every other one where none is named."""


class Evaluation(Settings):
    """How runs are judged."""

    came_later = ("consistency", "pictures")
    bootstrap: Annotated[int, Field(ge=0, le=1_000_000)] = 2000
    """Replicates, resampled by patient."""
    sensitivity: Annotated[float, Field(gt=0, lt=1)] = 0.9
    """The operating point is chosen on validation so that patients not seen are found with at least this chance: the report shows
    what it reaches on test. It takes ⌈s/(1 − s)⌉ positive patients of validation, 9 for 0.9; with fewer there is none."""
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Conformal sets miss the truth in at most this share."""
    calibrate: bool = True
    """Fit scales and shifts of log-probabilities per availability pattern on validation."""
    prior: dict[str, tuple[Annotated[float, Field(gt=0, lt=1)], ...]] = {}
    """By label, the share of each class where the model will be used, such as `{acl: [0.95, 0.05]}`: probabilities are mended
    from the shares of validation to these. Operating points and conformal sets don't depend on shares and stay."""
    volumes: Literal["none", "max", "mean", "noisy_or"] = "none"
    """Report on studies too: how items (slices) are put together."""
    consistency: bool = False
    """Report the share of studies all of whose items are decided right, such as one sentence on several pictures, and of those all
    of whose items are decided alike, such as paraphrases of one question."""
    pictures: bool = True
    """Reports (and so the store of runs) show a handful of test samples as the model saw them; never a note, a date, or a name."""
    reference: str = "i2m2"
    """The paradigm that the others are paired with."""
    primary: PrimaryComparison | None = None
    """The comparison that conclusions rest on, such as `{metric: auroc, rivals: [intra, inter]}`; without it all are exploratory."""

    @model_validator(mode="after")
    def check_prior(self) -> "Evaluation":
        """Raise ValueError where a prior is given without calibration: there are no class shares to mend from."""
        if self.prior and not self.calibrate:
            raise ValueError("evaluation.prior needs evaluation.calibrate: it mends calibrated probabilities")
        return self


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


def derive_paradigms(experts: Mapping[str, Expert]) -> dict[str, Paradigm]:
    """The paper's paradigms, as far as the experts make them: unimodal, intra, inter, I2M2."""
    alone = tuple(name for name, expert in experts.items() if len(expert.reads) == 1)
    joint = tuple(name for name, expert in experts.items() if len(expert.reads) > 1)
    made: dict[str, tuple[str, ...]] = {f"unimodal_{name}": (name,) for name in alone}
    if len(alone) > 1:
        made["intra"] = alone
    if joint:
        made["inter"] = joint
    made["i2m2"] = (*alone, *joint)
    return {name: Paradigm(experts=members) for name, members in made.items()}


def apply_training(training: Training, overrides: Mapping[str, Any]) -> Training:
    """Training settings with a paradigm's or stage's own on top, typed again."""
    return Training.model_validate({**training.model_dump(), **overrides})


def nearest(name: str, known: Mapping[str, Any] | Sequence[str]) -> str:
    """'; did you mean …?' or what there is to choose from."""
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else f"; choose from {', '.join(known)}"
