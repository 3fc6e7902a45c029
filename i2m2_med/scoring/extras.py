"""Files beside a study's rows, on request: magnitude, picture, saliency, DICOM report."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from i2m2_med.engine.prediction.predictor import Predictor
from i2m2_med.errors import UserError
from i2m2_med.scoring.images import ALIGNED, Affine, centred_affine, cropped_affine, save_image
from i2m2_med.scoring.job import Job
from i2m2_med.scoring.reading import Chunk, Reader
from i2m2_med.scoring.results import ResultStore
from i2m2_med.scoring.saliency import Maps, saliency_maps
from i2m2_med.scoring.studies import StudyFolder

SHOWN = 6
"""Slices on a picture sheet."""


class Extras:
    """Writes the files that a job asks for into `OUT/<study>/`."""

    def __init__(self, job: Job, predictor: Predictor) -> None:
        self.job, self.predictor = job, predictor
        self.reader = Reader(job.model)
        needs_images = {"magnitude", "picture", "saliency"} & set(job.extras)
        if needs_images and predictor.run.source.model_dump()["name"] != "fastmri":
            raise UserError(f"--extra {', '.join(sorted(needs_images))} is for models of images; this one reads none")
        if "saliency" in job.extras and not in_image_space(predictor):
            raise UserError(
                "--extra saliency needs a model of images as they lie in space, not of k-space or stretched ones"
            )

    def write(self, store: ResultStore, study: StudyFolder, result: Mapping[str, Any]) -> None:
        """Write the files that were asked for, all of them or none."""
        beside = store.private / "extras"
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir()
        if {"magnitude", "picture", "saliency"} & set(self.job.extras):
            self.write_images(beside, study, result)
        if "dicom" in self.job.extras:
            from i2m2_med.scoring.dicom_report import write_report

            write_report(beside / "report.dcm", study.folder, result, self.predictor.labels)
        target = store.out / study.name
        shutil.rmtree(target, ignore_errors=True)
        beside.rename(target)

    def write_images(self, folder: Path, study: StudyFolder, result: Mapping[str, Any]) -> None:
        """Write magnitude, picture and saliency of one volume, in one space."""
        from i2m2_med.samples.reconstruction import reconstruct_volume
        from i2m2_med.sources.fastmri.study import study_files

        files = study_files(study.folder)
        images = reconstruct_volume(files)
        affine, code = self.space(files.paths[0], images.image.shape, images.voxel_mm)
        if "magnitude" in self.job.extras:
            save_image(folder / "magnitude.nii.gz", abs(images.image), affine, code)
        if "picture" in self.job.extras:
            self.draw(folder / "picture.png", images.image, study, result)
        if "saliency" in self.job.extras:
            for expert, maps in self.maps(study).items():
                height, width = maps.shape[2:]
                volume = images.volume
                row = origin(volume.readout, height) - origin(volume.readout, images.image.shape[1])
                column = origin(volume.phase, width) - origin(volume.phase, images.image.shape[2])
                for label, values in zip(self.predictor.labels.names, maps.swapaxes(0, 1), strict=True):
                    path = folder / f"saliency_{expert}_{label}.nii.gz"
                    save_image(path, values, cropped_affine(affine, row, column), code)

    def space(self, path: Path, shape: tuple[int, ...], voxel_mm: tuple[float, float, float]) -> tuple[Affine, int]:
        """Return the affine of a volume's images and its NIfTI code: a NIfTI's own, or centred where raw data say no study."""
        from i2m2_med.sources.formats.nifti import is_nifti

        if not is_nifti(path):
            return centred_affine(shape, voxel_mm), ALIGNED
        import nibabel

        image: Any = nibabel.load(path)
        return np.asarray(image.affine, dtype=np.float64), int(image.header["sform_code"]) or ALIGNED

    def maps(self, study: StudyFolder) -> dict[str, Maps]:
        """Return the saliency of every slice, by expert."""
        maps: dict[str, list[Maps]] = {}
        for chunk in self.reader.chunks(study.folder):
            if isinstance(chunk, Chunk):
                for name, part in saliency_maps(self.predictor, chunk).items():
                    maps.setdefault(name, []).append(part)
        return {name: np.concatenate(parts) for name, parts in maps.items()}

    def draw(self, path: Path, image: np.ndarray, study: StudyFolder, result: Mapping[str, Any]) -> None:
        """Draw a sheet of a few slices, each with its probabilities."""
        from i2m2_med.samples.pictures import Panel, draw_grid

        captions: dict[int, list[str]] = {}
        for row in result["rows"]:
            if row["class"] == len(self.predictor.labels.classes) - 1:
                captions.setdefault(row["item"], []).append(f"{row['label']} {row['p']:.2f}")
        chosen = sorted(set(np.linspace(0, len(image) - 1, min(SHOWN, len(image))).astype(int).tolist()))
        panels = [
            Panel("\n".join([f"slice {at}", *captions.get(at, [])]), abs(image[at]), np.angle(image[at]))
            for at in chosen
        ]
        draw_grid(panels, path, study.name)


def in_image_space(predictor: Predictor) -> bool:
    """Return whether the model's transforms keep pixels where they are: cropping only."""
    blocks = [block for block in predictor.run.modalities.transforms if block["_target_"].endswith(".Reconstructd")]
    return all(block.get("domain", "image") == "image" and block.get("parity", "none") == "none" for block in blocks)


def origin(n: int, size: int) -> int:
    """Return where an axis of `n` begins after `fit_centre` to `size`."""
    return (n - size) // 2 if n >= size else -((size - n) // 2)
