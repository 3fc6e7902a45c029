"""The MEDS codes that stand for what MIMIC's tables hold, one mapping for reading and writing: those of the public MIMIC-IV
conversions (MIMIC_IV_MEDS, and `MIMIC_IV_…/` of meds_etl), and two of our own, `SERVICE//…` and `NOTE//…`.

| code | time | value |
|---|---|---|
| `MEDS_BIRTH`, `MEDS_DEATH` | of birth, of death (midnight without an admission: a date; none: died, nobody knows when) | |
| `GENDER//F`, `MIMIC_IV_Gender/F` | any | |
| `HOSPITAL_ADMISSION//TYPE//…`, `MIMIC_IV_Admission/TYPE`; `HOSPITAL_DISCHARGE//LOCATION`, `MIMIC_IV_Discharge_Location/LOCATION` | of either; a location that says died marks a death in hospital | |
| `INSURANCE//…`, `RACE//…`, `MIMIC_IV_Insurance/…`, `MIMIC_IV_Race/…` (or columns `insurance`, `race` on admissions) | of admission | |
| `ICU_ADMISSION//UNIT`, `ICU_DISCHARGE//UNIT` | of either | |
| `SERVICE//SURG`, `MIMIC_IV_Service/SURG` | since when | |
| `DIAGNOSIS//ICD//9//4280`, `ICD9CM/428.0`; `DIAGNOSIS//ICD//10//I509`, `ICD10CM/I50.9` | of discharge | |
| `LAB//ITEM//UNIT` (charted), `LAB//RESULT//ITEM//UNIT` (laboratory), `SUBJECT_FLUID_OUTPUT//ITEM//UNIT` | of the measurement | number, text |
| `MIMIC_IV_ITEM/ITEM`, `MIMIC_IV_LABITEM/ITEM` | of storing | number, text; column `unit` |
| `LAB//SPECIMEN_COLLECTED//ITEM` | of collection; then that of the result is when it was stored | |
| `NOTE//CATEGORY` | since when it could be read | text |

Beside MEDS's own columns, events carry `hadm_id` (or `visit_id`) and `icustay_id`; ours also carry those of `EXTRA`.
"""

BIRTH, DEATH = "MEDS_BIRTH", "MEDS_DEATH"
GENDER = "GENDER//"
ADMISSION, DISCHARGE = "HOSPITAL_ADMISSION//", "HOSPITAL_DISCHARGE//"
INSURANCE, RACE = "INSURANCE//", "RACE//"
ICU_IN, ICU_OUT = "ICU_ADMISSION//", "ICU_DISCHARGE//"
SERVICE, NOTE = "SERVICE//", "NOTE//"
DIAGNOSIS, DIAGNOSIS10 = "DIAGNOSIS//ICD//9//", "DIAGNOSIS//ICD//10//"
CHARTED, RESULT, OUTPUT = "LAB//", "LAB//RESULT//", "SUBJECT_FLUID_OUTPUT//"
COLLECTED = "LAB//SPECIMEN_COLLECTED//"
ITEM, LABITEM = "MIMIC_IV_ITEM/", "MIMIC_IV_LABITEM/"
ALSO = {
    GENDER: "MIMIC_IV_Gender/",
    ADMISSION: "MIMIC_IV_Admission/",
    DISCHARGE: "MIMIC_IV_Discharge_Location/",
    INSURANCE: "MIMIC_IV_Insurance/",
    RACE: "MIMIC_IV_Race/",
    SERVICE: "MIMIC_IV_Service/",
    DIAGNOSIS: "ICD9CM/",
    DIAGNOSIS10: "ICD10CM/",
}
"""Code prefixes: ours → meds_etl's for the same events."""
MEASURED = {
    "CHARTEVENTS": r"^(?:LAB//(?:RESULT//)?|MIMIC_IV_ITEM/)",
    "LABEVENTS": r"^(?:LAB//(?:RESULT//)?|MIMIC_IV_LABITEM/)",
    "OUTPUTEVENTS": r"^(?:SUBJECT_FLUID_OUTPUT//|MIMIC_IV_ITEM/)",
}
"""By table, the pattern of the code before the item's number; the item map says which table an item belongs to."""
UNKNOWN = "UNK"
DIED, ALIVE = "DIED", "ALIVE"
SAYS_DIED = "(?i)died|dead|expired"
SPLITS = {"train": "train", "valid": "tuning", "test": "held_out"}
"""Our name of a split → the one MEDS uses."""
SPLITS_FILE = "metadata/subject_splits.parquet"
IDS = ("hadm_id", "icustay_id")
TEXTS = ("insurance", "race", "dbsource")
WARD, STORED = "ward", "storetime"
EXTRA = (*TEXTS, WARD, STORED)
"""Columns beside MEDS's own and the ids: of an admission, of an ICU stay (database, ward), of a measurement (when stored)."""
