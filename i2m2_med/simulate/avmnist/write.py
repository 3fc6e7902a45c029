"""AV-MNIST in MultiBench's layout from real digits and real speech: `i2m2 simulate avmnist OUT --mnist DIR --spoken DIR`.

OUT/avmnist/image/{train,test}_data.npy   (row, 28, 28) float32: what four principal components show of an MNIST digit
OUT/avmnist/audio/{train,test}_data.npy   (row, 112, 112) uint8: spectrogram of the same digit, spoken, in noise
OUT/avmnist/{train,test}_labels.npy       (row,) uint8; the last rows of train are validation
OUT/avmnist/sources.csv, manifest.json    where each row comes from; settings, counts and hashes

Pairs share the label and, given it, nothing; `--tie` makes noise and writing style depend on each other (`avmnist_pairs`).
The published set uses other recordings (TIDIGITS) and other noise (ESC-50): figures are not comparable with the paper's.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from i2m2_med.console import TerminalProgress, say
from i2m2_med.errors import ConfigError
from i2m2_med.files import replace_folder, sha256_of, write_json
from i2m2_med.marks import mark_simulated
from i2m2_med.simulate.avmnist.audio import CLIP, SIDE, noise_clip, spectrogram, with_noise
from i2m2_med.simulate.avmnist.inputs import Digits, Take, read_mnist, read_spoken
from i2m2_med.simulate.avmnist.pairs import Pair, Projection, clips_by_colour, draw_pairs, fit_projection, styles

NOTE = (
    "Real MNIST digits and real spoken digits (FSDD) in synthetic noise. The published AV-MNIST uses other recordings "
    "(TIDIGITS) and noise (ESC-50): figures are not comparable with the paper's 72.38 % accuracy."
)


class Counts(NamedTuple):
    """Rows of each split."""

    train: int
    valid: int
    test: int


def simulate(
    out: Path,
    *,
    mnist: Path,
    spoken: Path,
    train: int = 10_000,
    valid: int = 2_000,
    test: int = 2_000,
    snr_db: float = -15.0,
    seed: int = 2018,
    tie: float = 0.0,
) -> dict[str, Any]:
    """Pair MNIST digits with spoken digits in noise, by label, and write MultiBench's AV-MNIST layout.

    Args:
        out: folder to make; it must not hold anything yet.
        mnist: folder of MNIST's four .gz files.
        spoken: folder (or zip) of the Free Spoken Digit Dataset's recordings.
        train: training pairs; they and the validation pairs use each of MNIST's 60,000 training images once at most.
        valid: validation pairs, the last rows of train.
        test: test pairs, of MNIST's test images.
        snr_db: signal over noise in dB, both as mean power over a recording.
        seed: same seed, same bytes.
        tie: share (0 to 1) of pairs whose noise goes with the writing style in a way that tells the digit to who reads both,
            and nothing to who reads one; pairing by label alone (0) has nothing between image and audio.

    Raises ConfigError for a number that can't be, SourceError for input that is missing or broken, and UserError when `out`
    holds something already.
    """
    counts = Counts(train, valid, test)
    _check(counts, snr_db, tie)
    digits, recordings = read_mnist(mnist), read_spoken(spoken)
    projection = fit_projection(digits[0].images)
    pairs = _pair(counts, digits, projection, tie, seed)
    with replace_folder(out) as folder:
        home = folder / "avmnist"
        for part, splits in (("train", ("train", "valid")), ("test", ("test",))):
            drawn = [pair for split in splits for pair in pairs[split]]
            _write_part(
                home,
                part,
                pairs=drawn,
                digits=digits[part == "test"],
                projection=projection,
                recordings=recordings,
                sound=(snr_db, seed),
            )
        _table(pairs).write_csv(home / "sources.csv")
        settings = {**counts._asdict(), "snr_db": snr_db, "seed": seed, "tie": tie}
        manifest = _describe(home, settings, projection, [*sorted(mnist.glob("*.gz")), *sorted(spoken.glob("*.zip"))])
        write_json(home / "manifest.json", manifest)
    say(NOTE)
    return {"folder": str(out / "avmnist"), **settings, "components": projection.axes.shape[1]}


def _check(counts: Counts, snr_db: float, tie: float) -> None:
    for name, count in counts._asdict().items():
        if count < 1:
            raise ConfigError(f"--{name} is {count}; give 1 or more.")
    for name, wanted, there in (
        ("train + --valid", counts.train + counts.valid, 60_000),
        ("test", counts.test, 10_000),
    ):
        if wanted > there:
            raise ConfigError(f"--{name} is {wanted}, but MNIST has {there:,} images for it; give fewer.")
    if not 0 <= tie <= 1:
        raise ConfigError(f"--tie is {tie}; give 0 (none) to 1.")
    if not -100 <= snr_db <= 100:
        raise ConfigError(f"--snr-db is {snr_db}; give -100 to 100 dB.")


def _pair(
    counts: Counts, digits: tuple[Digits, Digits], projection: Projection, tie: float, seed: int
) -> dict[str, list[Pair]]:
    """By split: images that stand in no other split, with a recording and a noise each."""
    rng = np.random.default_rng(seed)
    style = [styles(projection, part) for part in digits]
    learnt = _choose(digits[0], counts.train + counts.valid, rng)
    rows = {
        "train": learnt[: counts.train],
        "valid": learnt[counts.train :],
        "test": _choose(digits[1], counts.test, rng),
    }
    pairs: dict[str, list[Pair]] = {}
    for split, chosen in rows.items():
        test, clips = split == "test", clips_by_colour(split, seed)
        pairs[split] = draw_pairs(split, chosen, digits=digits[test], style=style[test], clips=clips, tie=tie, rng=rng)
    return pairs


def _choose(digits: Digits, count: int, rng: np.random.Generator) -> np.ndarray:
    if count > len(digits.labels):
        raise ConfigError(f"{count} images are asked for, but this MNIST has {len(digits.labels)}; give fewer.")
    return rng.permutation(len(digits.labels))[:count]


def _write_part(
    home: Path,
    part: str,
    *,
    pairs: Sequence[Pair],
    digits: Digits,
    projection: Projection,
    recordings: Mapping[Take, np.ndarray],
    sound: tuple[float, int],
) -> None:
    """Images, spectrograms and labels of MultiBench's train or test part. sound: SNR in dB, seed of the noise."""
    for modality in ("image", "audio"):
        (home / modality).mkdir(parents=True, exist_ok=True)
    images = projection.image(digits.images[[pair.image for pair in pairs]])
    np.save(home / "image" / f"{part}_data.npy", images)
    np.save(home / f"{part}_labels.npy", np.array([pair.digit for pair in pairs], dtype=np.uint8))
    shape = (len(pairs), SIDE, SIDE)
    audio = np.lib.format.open_memmap(home / "audio" / f"{part}_data.npy", mode="w+", dtype=np.uint8, shape=shape)
    snr_db, seed = sound
    clips = {clip: noise_clip(seed, clip) for clip in sorted({pair.clip for pair in pairs})}
    for row, pair in enumerate(TerminalProgress().track(pairs, f"mixing {part}", len(pairs))):
        recording = recordings[pair.take]
        heard = np.arange(pair.start, pair.start + len(recording)) % CLIP
        audio[row] = spectrogram(with_noise(recording, clips[pair.clip][heard], snr_db))
    audio.flush()
    for path in (home / "image" / f"{part}_data.npy", home / "audio" / f"{part}_data.npy"):
        mark_simulated(path)


def _table(pairs: Mapping[str, Sequence[Pair]]) -> pl.DataFrame:
    """Return the origin of every row, in the order of train, valid, test; `row` counts within MultiBench's train or test part."""
    rows = [
        {
            "part": "test" if split == "test" else "train",
            "row": row + (len(pairs["train"]) if split == "valid" else 0),
            "split": split,
            "label": pair.digit,
            "mnist_image": pair.image,
            "speaker": pair.take.speaker,
            "take": pair.take.take,
            "clip": pair.clip,
            "start": pair.start,
            "style": pair.style,
            "colour": pair.colour,
        }
        for split, drawn in pairs.items()
        for row, pair in enumerate(drawn)
    ]
    return pl.DataFrame(rows)


def _describe(home: Path, settings: dict[str, Any], projection: Projection, inputs: Sequence[Path]) -> dict[str, Any]:
    """The manifest: how it was made, of what, and every file's size and hash."""
    written = sorted(path for path in home.rglob("*") if path.is_file())
    return {
        "made_by": "i2m2 simulate avmnist",
        "note": NOTE,
        "settings": settings,
        "components": projection.axes.shape[1],
        "variance_kept": round(projection.kept, 6),
        "inputs": {path.name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)} for path in inputs},
        "files": {
            str(path.relative_to(home)): {"bytes": path.stat().st_size, "sha256": sha256_of(path)} for path in written
        },
    }
