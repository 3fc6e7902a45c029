"""Words that tables use for the parts of a data set."""

WORDS = {
    "train": "train", "training": "train", "val": "valid", "valid": "valid", "validation": "valid", "dev": "valid",
    "test": "test", "testing": "test",
}  # fmt: skip
"""By word, in small letters, the split that it means."""
