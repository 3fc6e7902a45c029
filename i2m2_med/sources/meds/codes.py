"""The MEDS codes that stand for what MIMIC's tables hold: those of the public MIMIC-IV conversion (MIMIC_IV_MEDS), and two
of our own, `SERVICE//…` and `NOTE//…`. Beside MEDS's own columns, events carry `hadm_id` and `icustay_id`.

| code | time | value |
|---|---|---|
| `MEDS_BIRTH`, `MEDS_DEATH` | of birth, of death (midnight: a date) | |
| `GENDER//F` | none | |
| `HOSPITAL_ADMISSION//TYPE//…`, `HOSPITAL_DISCHARGE//LOCATION` | of either; a location that says died marks a death in hospital | |
| `ICU_ADMISSION//UNIT`, `ICU_DISCHARGE//UNIT` | of either | |
| `SERVICE//SURG` | since when | |
| `DIAGNOSIS//ICD//9//4280` | of discharge | |
| `LAB//ITEM//UNIT` (charted), `LAB//RESULT//ITEM//UNIT` (laboratory), `SUBJECT_FLUID_OUTPUT//ITEM//UNIT` | of the measurement | number, text |
| `NOTE//CATEGORY` | since when it could be read | text |
"""

BIRTH, DEATH = "MEDS_BIRTH", "MEDS_DEATH"
GENDER = "GENDER//"
ADMISSION, DISCHARGE = "HOSPITAL_ADMISSION//", "HOSPITAL_DISCHARGE//"
ICU_IN, ICU_OUT = "ICU_ADMISSION//", "ICU_DISCHARGE//"
SERVICE, DIAGNOSIS, NOTE = "SERVICE//", "DIAGNOSIS//ICD//9//", "NOTE//"
CHARTED, RESULT, OUTPUT = "LAB//", "LAB//RESULT//", "SUBJECT_FLUID_OUTPUT//"
UNKNOWN = "UNK"
DIED, ALIVE = "DIED", "ALIVE"
SAYS_DIED = "(?i)died|dead|expired"
SPLITS = {"train": "train", "valid": "tuning", "test": "held_out"}
"""Our name of a split → the one MEDS uses."""
SPLITS_FILE = "metadata/subject_splits.parquet"
IDS = ("hadm_id", "icustay_id")
TEXTS = ("insurance", "race")
"""Columns beside MEDS's own: ids, what is on admissions only, and when a measurement was stored."""
STORED = "storetime"
