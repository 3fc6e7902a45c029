"""What a config says of method, in sentences for the checklists of a report: inputs, preparation, model, training, output."""

from i2m2_med.config.run import RunConfig


def method_of(run: RunConfig) -> dict[str, str]:
    """Return sentences by what they are about (`facts` of `checklists/*.csv`)."""
    experts = [f"{name} reads {one.needed} ({short(one.network)})" for name, one in run.experts.items()]
    paradigms = [f"{name} = {' × '.join(one.experts)}" for name, one in run.paradigms.items()]
    return {
        "inputs": f"Modalities {', '.join(sorted({each for one in run.experts.values() for each in one.reads}))}.",
        "preprocessing": preprocessing(run),
        "model": f"Experts: {'; '.join(experts)}. Paradigms: {'; '.join(paradigms)}. Combiner: {short(run.combiner)}.",
        "training": training(run),
        "imbalance": "Classes were weighted in the loss by N / N_c of training." if run.training.class_weights else "Classes were not weighted in training.",
        "output": output(run),
    }  # fmt: skip


def preprocessing(run: RunConfig) -> str:
    """Say which transforms and which standardisation the config asks for."""
    steps = [short(block) for block in run.modalities.transforms]
    standard = [name for name, how in run.modalities.normalise.items() if how == "standard"]
    augmented = [short(block) for block in run.modalities.train_transforms]
    parts = [
        f"Transforms: {', '.join(steps) or 'those of the data set only'}.",
        *([f"Standardised on training: {', '.join(standard)}."] if standard else []),
        f"Augmentation of training: {', '.join(augmented) or 'none'}.",
    ]
    return " ".join(parts)


def training(run: RunConfig) -> str:
    """Say how the experts were trained, and by what an epoch was chosen."""
    one = run.training
    rates = " or ".join(f"{rate:g}" for rate in one.learning_rates)
    patience = f", stopped after {one.patience} epochs without a better one" if one.patience else ""
    return (
        f"Mode {one.mode}, {short(one.optimizer)}, learning rate {rates}, batches of {one.batch}, {one.epochs} epochs at most{patience}; "
        f"the epoch with the best {one.select} on validation is kept; seeds {', '.join(map(str, run.seeds))}."
    )


def output(run: RunConfig) -> str:
    """Say what the model gives out, and for whom it is calibrated."""
    if not run.evaluation.calibrate:
        return "Probabilities of the classes, not calibrated."
    population = (
        f"the class shares {run.evaluation.prior}" if run.evaluation.prior else "the class shares of validation"
    )
    return f"Probabilities of the classes, calibrated on validation per pattern of modalities, for {population}."


def short(block: object) -> str:
    """The class of a `_target_` block without its module."""
    return str(block["_target_"]).rpartition(".")[2] if isinstance(block, dict) else str(block)
