"""The items that the simulated tables use: true MIMIC-III ids, labels and units, and how a value is made from a case.

CareVue and MetaVision are the two bedside systems; a stay is charted in one of them. Laboratory items are the same in both.
"""

from dataclasses import KW_ONLY, dataclass


@dataclass(frozen=True)
class Charted:
    """One measured quantity: value = base + patient·N(0,1) + slope·level[finding] + sweep·trend[swept]·(-1…1) + noise·N(0,1)."""

    name: str
    carevue: int
    metavision: int
    """The same number as `carevue` where the item does not depend on the bedside system."""
    base: float
    patient: float
    noise: float
    hours: float
    """Mean distance between two measurements."""
    _: KW_ONLY
    finding: int = 0
    slope: float = 0.0
    swept: int = 0
    """The finding whose direction it follows."""
    sweep: float = 0.0
    low: float = 0.0
    high: float = 1e9
    digits: int = 0
    share: float = 1.0
    """Share of patients in whom it is measured at all."""


VITALS = (
    Charted("systolic", 455, 220179, 122.0, 7.0, 6.0, 1.0, swept=0, sweep=-24.0, low=40.0, high=260.0),
    Charted("heart rate", 211, 220045, 86.0, 5.0, 4.0, 1.0, swept=0, sweep=22.0, low=20.0, high=240.0),
    Charted("temperature C", 676, 223762, 37.1, 0.15, 0.15, 2.0, swept=1, sweep=1.0, low=31.0, high=43.0, digits=1),
    Charted("diastolic", 8441, 220180, 63.0, 6.0, 5.0, 2.0, low=15.0, high=160.0),
    Charted("mean pressure", 456, 220181, 82.0, 6.0, 5.0, 2.0, low=20.0, high=200.0),
    Charted("respiratory rate", 618, 220210, 18.0, 2.0, 3.0, 2.0, low=4.0, high=60.0),
    Charted("oxygen saturation", 646, 220277, 97.0, 1.0, 1.0, 2.0, low=60.0, high=100.0),
)
WEIGHT = Charted("weight", 763, 224639, 80.0, 14.0, 0.5, 24.0, low=35.0, high=220.0, digits=1)
LABS = (
    Charted("urea nitrogen", 51006, 51006, 32.0, 2.0, 1.5, 6.0, finding=0, slope=6.0, low=2.0, high=250.0),
    Charted(
        "bicarbonate", 50882, 50882, 24.0, 0.6, 0.6, 6.0, finding=0, slope=-1.5, swept=2, sweep=5.0, low=5.0, high=50.0
    ),
    Charted("white cells", 51301, 51301, 11.0, 0.5, 0.6, 6.0, finding=1, slope=1.8, low=0.3, high=200.0, digits=1),
    Charted(
        "sodium", 50983, 50983, 139.0, 0.8, 0.8, 6.0, finding=1, slope=-1.8, swept=1, sweep=5.0, low=100.0, high=180.0
    ),
    Charted(
        "potassium",
        50971,
        50971,
        4.2,
        0.12,
        0.12,
        6.0,
        finding=2,
        slope=0.35,
        swept=2,
        sweep=-0.9,
        low=1.5,
        high=9.0,
        digits=1,
    ),
    Charted(
        "bilirubin", 50885, 50885, 1.6, 0.1, 0.1, 10.0, finding=1, slope=0.3, low=0.1, high=40.0, digits=1, share=0.7
    ),
    Charted("glucose", 50931, 50931, 135.0, 15.0, 20.0, 6.0, low=30.0, high=900.0),
)
GAS_SHARE = 0.8
"""Share of patients with arterial blood gases."""
PO2_PER_FIO2 = Charted(
    "PaO2/FiO2", 50821, 50821, 3.0, 0.15, 0.15, 6.0, finding=2, slope=-0.5, low=0.6, high=6.0, digits=2
)
URINE = Charted("urine", 40055, 226559, 85.0, 8.0, 20.0, 2.0, finding=0, slope=-16.0, low=0.0, high=1500.0)
"""The unit is mL since the last entry."""

LAB_UNITS = {
    51006: "mg/dL", 50882: "mEq/L", 51301: "K/uL", 50983: "mEq/L", 50824: "mEq/L", 50971: "mEq/L", 50822: "mEq/L",
    50885: "mg/dL", 50931: "mg/dL", 50821: "mm Hg", 50816: "%", 50800: None, 50820: "units", 51491: "units", 51478: "mg/dL",
}  # fmt: skip
CHART_UNITS = {
    455: "mmHg", 220179: "mmHg", 211: "BPM", 220045: "bpm", 676: "Deg. C", 223762: "?C", 678: "Deg. F", 223761: "?F",
    8441: "mmHg", 220180: "mmHg", 456: "mmHg", 220181: "mmHg", 618: "BPM", 220210: "insp/min", 646: "%", 220277: "%",
    763: "kg", 224639: "kg", 190: "torr", 223835: None,
}  # fmt: skip
FAHRENHEIT = {676: 678, 223762: 223761}

EYES, VERBAL, MOTOR = (184, 220739), (723, 223900), (454, 223901)
"""Glasgow coma scale, CareVue and MetaVision."""
GCS_WORDS = {
    184: ("1 No Response", "2 To pain", "3 To speech", "4 Spontaneously"),
    220739: ("None", "To Pain", "To Speech", "Spontaneously"),
    723: ("1 No Response", "2 Incomp sounds", "3 Inapprop words", "4 Confused", "5 Oriented"),
    223900: ("No Response", "Incomprehensible sounds", "Inappropriate Words", "Confused", "Oriented"),
    454: (
        "1 No Response",
        "2 Abnorm extensn",
        "3 Abnorm flexion",
        "4 Flex-withdraws",
        "5 Localizes Pain",
        "6 Obeys Commands",
    ),
    223901: (
        "No response",
        "Abnormal extension",
        "Abnormal Flexion",
        "Flex-withdraws",
        "Localizes Pain",
        "Obeys Commands",
    ),
}
INTUBATED = {723: "1.0 ET/Trach", 223900: "No Response-ETT"}

CHART_LABELS = {
    184: "Eye Opening", 723: "Verbal Response", 454: "Motor Response", 198: "GCS Total", 211: "Heart Rate", 455: "NBP [Systolic]",
    51: "Arterial BP [Systolic]", 442: "Manual BP [Systolic]", 6701: "Arterial BP #2 [Systolic]", 8441: "NBP [Diastolic]",
    8368: "Arterial BP [Diastolic]", 456: "NBP Mean", 52: "Arterial BP Mean", 618: "Respiratory Rate", 646: "SpO2",
    676: "Temperature C", 678: "Temperature F", 190: "FiO2 Set", 3420: "FIO2", 3422: "FIO2 [Meas]", 763: "Daily Weight",
    220739: "GCS - Eye Opening", 223900: "GCS - Verbal Response", 223901: "GCS - Motor Response", 220045: "Heart Rate",
    220050: "Arterial Blood Pressure systolic", 220179: "Non Invasive Blood Pressure systolic",
    220180: "Non Invasive Blood Pressure diastolic", 220181: "Non Invasive Blood Pressure mean", 220210: "Respiratory Rate",
    220277: "O2 saturation pulseoxymetry", 223761: "Temperature Fahrenheit", 223762: "Temperature Celsius",
    223835: "Inspired O2 Fraction", 224639: "Daily Weight",
}  # fmt: skip
OUTPUT_LABELS = {
    40055: "Urine Out Foley", 43175: "Urine .", 40069: "Urine Out Void", 226559: "Foley", 226560: "Void",
    227488: "GU Irrigant Volume In", 227489: "GU Irrigant/Urine Volume Out",
}  # fmt: skip
LAB_LABELS = {
    50800: ("SPECIMEN TYPE", "BLOOD", "BLOOD GAS"), 50816: ("Oxygen", "Blood", "Blood Gas"), 50820: ("pH", "Blood", "Blood Gas"),
    50821: ("pO2", "Blood", "Blood Gas"), 50822: ("Potassium, Whole Blood", "Blood", "Blood Gas"),
    50824: ("Sodium, Whole Blood", "Blood", "Blood Gas"), 50882: ("Bicarbonate", "Blood", "Chemistry"),
    50885: ("Bilirubin, Total", "Blood", "Chemistry"), 50931: ("Glucose", "Blood", "Chemistry"),
    50971: ("Potassium", "Blood", "Chemistry"), 50983: ("Sodium", "Blood", "Chemistry"), 51006: ("Urea Nitrogen", "Blood", "Chemistry"),
    51300: ("WBC Count", "Blood", "Hematology"), 51301: ("White Blood Cells", "Blood", "Hematology"),
    51478: ("Glucose", "Urine", "Hematology"), 51491: ("pH", "Urine", "Hematology"),
}  # fmt: skip
