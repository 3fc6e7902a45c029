"""A study's predictions as a DICOM structured report (TID 1500) that refers to the study's own DICOM images."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from i2m2_med.errors import SourceError, UserError, extra_hint
from i2m2_med.sources.source import Labels

SCHEME = "99I2M2"
"""Findings are coded in a scheme of our own: a run's labels are free text."""
SERIES = 9000


def write_report(path: Path, study: Path, result: Mapping[str, Any], labels: Labels) -> None:
    """Write the report of a study whose folder holds DICOM images; others have nothing to refer to, and get none.

    The same predictions give the same bytes. Raises UserError without highdicom, SourceError for DICOM that can't be read.
    """
    try:
        from highdicom import sr
    except ImportError as error:
        raise UserError(f"--extra dicom needs highdicom: {extra_hint('dicom')}") from error
    images = read_images(study)
    if not images:
        return
    report = sr.ComprehensiveSR(
        evidence=images,
        content=content(result, labels)[0],
        series_instance_uid=uid_of("series", result["key"]),
        series_number=SERIES,
        sop_instance_uid=uid_of("report", result["key"]),
        instance_number=1,
        manufacturer="i2m2-med",
        series_description="I2M2 scores, research use only",
    )
    date_by(report, images[0].get("StudyDate") or "19000101")
    report.save_as(path)


def date_by(report: Any, date: str) -> None:
    """Date the report by its study instead of by the clock, which would make every run's bytes differ."""
    report.ContentDate = report.InstanceCreationDate = date
    report.ContentTime = report.InstanceCreationTime = "000000"
    for library in report.get("ContributingEquipmentSequence", ()):
        library.ContributionDateTime = f"{date}000000"


def content(result: Mapping[str, Any], labels: Labels) -> Any:
    """Return the tree of a measurement report: one probability per finding."""
    from highdicom import sr
    from pydicom.sr.codedict import codes

    device = sr.DeviceObserverIdentifyingAttributes(uid=uid_of("model", result["model"]), name="i2m2-med")
    observer = sr.ObserverContext(codes.DCM.Device, device)
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid_of("group", result["key"]), identifier="I2M2 scores"),
        measurements=[
            sr.Measurement(name=coded(f"Probability of {label}"), value=p, unit=codes.UCUM.NoUnits)
            for label, p in probabilities(result, labels).items()
        ],
    )
    return sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=sr.CodedConcept("363679005", "SCT", "Imaging"),
        imaging_measurements=[group],
        title=codes.DCM.ImagingMeasurementReport,
    )


def probabilities(result: Mapping[str, Any], labels: Labels) -> dict[str, float]:
    """Return probabilities by finding (and outcome, where there are more than two), of the study as a whole, or of the item with the highest."""
    whole = [row for row in result["rows"] if row["level"] == "study"] or result["rows"]
    highest: dict[str, float] = {}
    for row in whole:
        if row["class"]:
            outcome = "" if len(labels.classes) == 2 else f", {labels.classes[row['class']]}"
            name = f"{row['label']}{outcome}"
            highest[name] = max(highest.get(name, 0.0), round(float(row["p"]), 6))
    return highest


def read_images(study: Path) -> list[Any]:
    """Return the headers of the study's DICOM files, pixels left on disk."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        return [pydicom.dcmread(path, stop_before_pixels=True) for path in dicom_files(study)]
    except (InvalidDicomError, OSError, ValueError, AttributeError, KeyError, NotImplementedError) as error:
        raise SourceError("a DICOM file of the study can't be read") from error


def dicom_files(study: Path) -> Iterable[Path]:
    """Return the study's DICOM files, by name."""
    return sorted(path for path in study.rglob("*") if path.suffix.lower() == ".dcm" and path.is_file())


def coded(meaning: str) -> Any:
    """Return a concept of our own scheme; the same words give the same code."""
    from highdicom import sr

    return sr.CodedConcept(hashlib.sha256(meaning.encode()).hexdigest()[:12].upper(), SCHEME, meaning[:64])


def uid_of(*parts: str) -> str:
    """Return a DICOM identifier made from the parts."""
    return f"2.25.{int.from_bytes(hashlib.sha256('|'.join(parts).encode()).digest()[:15], 'big')}"
