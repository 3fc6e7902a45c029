"""The kinds of damage that a study folder may have, in one table per kind of study; each is done by a short function.

`expected` says what `i2m2 score` must do: `refused` = a refused row with the reason; `scored` = a row with a warning, or a
harmless oddity that changes nothing. Whatever is read must come from the study's own folder.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Expected = Literal["refused", "scored"]


@dataclass(frozen=True)
class Damage:
    """One kind of damage, done to a healthy study of the pattern it needs."""

    name: str
    expected: Expected
    pattern: str
    """The healthy study that is damaged, as named in `PATTERNS` of `knee/studies.py` or `mimic3/studies.py`."""
    inflict: Callable[[Path, Path], None]
    """Called with the study's folder and a healthy neighbour of the same pattern, which damage must not reach."""


def everything_gone(study: Path, _: Path) -> None:
    for path in study.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def only_unknown_files(study: Path, neighbour: Path) -> None:
    everything_gone(study, neighbour)
    (study / "scan.pdf").write_bytes(b"%PDF-1.7\n")
    (study / "letter.docx").write_bytes(b"PK\x03\x04")


def no_bytes(study: Path, _: Path) -> None:
    for path in stored_files(study):
        path.write_bytes(b"")


def link_to_neighbours_files(study: Path, neighbour: Path) -> None:
    for path in stored_files(study):
        path.unlink()
    for path in stored_files(neighbour):
        here = study / path.relative_to(neighbour)
        here.parent.mkdir(exist_ok=True)
        here.symlink_to(
            Path(*[".."] * len(here.relative_to(study.parent).parent.parts), path.relative_to(neighbour.parent))
        )


def link_to_neighbours_folder(study: Path, neighbour: Path) -> None:
    everything_gone(study, neighbour)
    (study / "data").symlink_to(Path("..", neighbour.name), target_is_directory=True)


def yaml_runs_code(study: Path, _: Path) -> None:
    (study / "study.yaml").write_text('!!python/object/apply:os.system ["touch yaml_was_run"]\n', encoding="utf-8")


def yaml_points_out(study: Path, neighbour: Path) -> None:
    everything_gone(study, neighbour)
    lines = [f"{yaml_key(path)}: ../{path.relative_to(neighbour.parent)}\n" for path in stored_files(neighbour)]
    (study / "study.yaml").write_text("".join(lines), encoding="utf-8")


def yaml_broken(study: Path, _: Path) -> None:
    (study / "study.yaml").write_text("kspace: [kspace.h5\nseries: {\n", encoding="utf-8")


def yaml_bomb(study: Path, _: Path) -> None:
    levels = [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 12)]
    (study / "study.yaml").write_text("l0: &l0 [lol]\n" + "".join(levels), encoding="utf-8")


def name_with_newline(study: Path, _: Path) -> None:
    path = stored_files(study)[0]
    stem, dot, ending = path.name.partition(".")
    path.rename(path.with_name(f"{stem}\nline 2{dot}{ending}"))


def stored_files(study: Path) -> list[Path]:
    """Every file of a healthy study, notes first."""
    return sorted((path for path in study.rglob("*") if path.is_file()), key=lambda path: (path.suffix != ".txt", path))


def yaml_key(path: Path) -> str:
    """Return the key of a file in `study.yaml`: its name up to the first dot, or `notes`."""
    return "notes" if path.suffix == ".txt" else path.name.partition(".")[0]


def anywhere(pattern: str) -> tuple[Damage, ...]:
    """Damage that befalls any kind of study, done to studies of `pattern`."""
    return (
        Damage("empty_folder", "refused", pattern, everything_gone),
        Damage("only_unknown_files", "refused", pattern, only_unknown_files),
        Damage("files_without_bytes", "refused", pattern, no_bytes),
        Damage("symlinks_to_another_study", "refused", pattern, link_to_neighbours_files),
        Damage("symlinked_folder_of_another_study", "refused", pattern, link_to_neighbours_folder),
        Damage("study_yaml_runs_code", "refused", pattern, yaml_runs_code),
        Damage("study_yaml_points_out", "refused", pattern, yaml_points_out),
        Damage("study_yaml_broken", "refused", pattern, yaml_broken),
        Damage("study_yaml_alias_bomb", "refused", pattern, yaml_bomb),
        Damage("file_name_with_newline", "scored", pattern, name_with_newline),
    )
