"""Files beside a study's rows, on request: magnitude, picture, saliency, DICOM report."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.engine.prediction.saliency import Maps, saliency_maps
from i2m2_med.errors import UserError
from i2m2_med.samples.study_images import StudyImages
from i2m2_med.scoring.images import ALIGNED, Affine, centred_affine, cropped_affine, described, save_image
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.reading import Chunk, Reader
from i2m2_med.scoring.remote import fetched
from i2m2_med.scoring.results import EXTRAS, ResultStore
from i2m2_med.scoring.study_names import StudyFolder

SHOWN = 6
"""Slices on a picture sheet."""


IMAGES = {"magnitude", "picture", "saliency"}
"""The extras that need a study's images."""


class Extras:
    """Writes the files that a job asks for into `OUT/<study>/`."""

    def __init__(self, job: Job, predictor: Predictor) -> None:
        self.job, self.predictor = job, predictor
        self.reader = Reader(job.model)
        self.imaged_by = self.reader.source.imaged_by
        wanted = IMAGES & set(job.extras)
        if wanted and self.imaged_by is None:
            raise UserError(f"--extra {', '.join(sorted(wanted))} is for models of images; this one reads none")
        if "saliency" in wanted and predictor.members:
            raise UserError(
                "--extra saliency shows what one model looks at, this one is the ensemble of all folds: name a fold's run"
            )
        transforms = predictor.run.modalities.transforms
        if "saliency" in wanted and not import_module(str(self.imaged_by)).keeps_pixels(transforms):
            raise UserError(
                "--extra saliency needs a model of images as they lie in space, not of k-space or stretched ones"
            )

    def write(self, store: ResultStore, study: StudyFolder, result: Mapping[str, Any]) -> None:
        """Write the files that were asked for, all of them or none."""
        with store.room() as room, fetched(study, store.room) as here:
            beside = Path(room) / EXTRAS
            beside.mkdir()
            if IMAGES & set(self.job.extras):
                self.write_images(beside, here, result)
            if "dicom" in self.job.extras:
                from i2m2_med.scoring.dicom_report import write_report

                write_report(beside / "report.dcm", here.folder, result, self.predictor.labels)
            store.publish_folder(beside, f"{EXTRAS}/{study.name}")

    def write_images(self, folder: Path, study: StudyFolder, result: Mapping[str, Any]) -> None:
        """Write magnitude, picture and saliency of one volume, in one space."""
        images: StudyImages = import_module(str(self.imaged_by)).study_images(study.folder)
        affine, code, description = space(images)
        if "magnitude" in self.job.extras:
            save_image(folder / "magnitude.nii.gz", abs(images.image), affine, code, description)
        if "picture" in self.job.extras:
            self.draw(folder / "picture.png", images, study, result)
        if "saliency" in self.job.extras:
            for expert, maps in self.maps(study).items():
                sizes = zip(images.acquired, maps.shape[2:], images.image.shape[1:], strict=True)
                row, column = (origin(size, mapped) - origin(size, shown) for size, mapped, shown in sizes)
                for label, values in zip(self.predictor.labels.names, maps.swapaxes(0, 1), strict=True):
                    path = folder / f"saliency_{expert}_{label}.nii.gz"
                    save_image(path, values, cropped_affine(affine, row, column), code, description)

    def maps(self, study: StudyFolder) -> dict[str, Maps]:
        """Return the saliency of every slice, by expert and label, for each label's last class."""
        labels, classes = len(self.predictor.labels.names), len(self.predictor.labels.classes)
        answers = [label * classes + classes - 1 for label in range(labels)]
        maps: dict[str, list[Maps]] = {}
        for chunk in self.reader.chunks(study.folder):
            if isinstance(chunk, Chunk):
                for name, part in saliency_maps(self.predictor, chunk.batch(), answers).items():
                    maps.setdefault(name, []).append(part)
        return {name: np.concatenate(parts) for name, parts in maps.items()}

    def draw(self, path: Path, images: StudyImages, study: StudyFolder, result: Mapping[str, Any]) -> None:
        """Draw a sheet of a few slices, each with its probabilities."""
        from i2m2_med.samples.pictures import Panel, Place, draw_grid
        from i2m2_med.sources.formats.orientation import letters

        image = images.image
        place = Place(images.voxel_mm[:2], None if images.affine is None else letters(images.affine)[:2])
        captions: dict[int, list[str]] = {}
        for row in result["rows"]:
            if row["class"] == len(self.predictor.labels.classes) - 1:
                captions.setdefault(row["item"], []).append(f"{row['label']} {row['p']:.2f}")

        def title(at: int) -> str:
            return "\n".join([f"slice {at}", *captions.get(at, [])])

        chosen = sorted(set(np.linspace(0, len(image) - 1, min(SHOWN, len(image))).astype(int).tolist()))
        panels = [
            Panel(title(at), abs(image[at]), np.angle(image[at]), place=place, parts=images.parts) for at in chosen
        ]
        draw_grid(panels, path, study.name)


def space(images: StudyImages) -> tuple[Affine, int, str]:
    """Return a study's affine, its NIfTI code and what to say of it: those of its file, or centred where that says no place."""
    description = described(nominal=images.affine is None, simulated=images.simulated)
    if images.affine is None:
        return centred_affine(images.image.shape, images.voxel_mm), ALIGNED, description
    return images.affine, images.code or ALIGNED, description


def origin(n: int, size: int) -> int:
    """Return where an axis of `n` begins after `fit_centre` to `size`."""
    return (n - size) // 2 if n >= size else -((size - n) // 2)
