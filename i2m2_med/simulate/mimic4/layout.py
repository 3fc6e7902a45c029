"""MIMIC-IV's folders and headers, and what is written otherwise in its two versions.

2.2 and 3.1 have the same columns in these tables; they differ in the words for insurance, language and care units and in how far
the anchor year groups go. Headers are those of the releases' documentation and of mimic-code (mimic-iv/buildmimic), written down
without a copy of MIMIC-IV at hand.
"""

from typing import Literal

Version = Literal["2.2", "3.1"]
HOSP = {
    "patients": "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod",
    "admissions": "subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,admit_provider_id,admission_location,"
    "discharge_location,insurance,language,marital_status,race,edregtime,edouttime,hospital_expire_flag",
    "transfers": "subject_id,hadm_id,transfer_id,eventtype,careunit,intime,outtime",
    "services": "subject_id,hadm_id,transfertime,prev_service,curr_service",
    "diagnoses_icd": "subject_id,hadm_id,seq_num,icd_code,icd_version",
    "labevents": "labevent_id,subject_id,hadm_id,specimen_id,itemid,order_provider_id,charttime,storetime,value,valuenum,"
    "valueuom,ref_range_lower,ref_range_upper,flag,priority,comments",
    "d_labitems": "itemid,label,fluid,category",
}
ICU = {
    "icustays": "subject_id,hadm_id,stay_id,first_careunit,last_careunit,intime,outtime,los",
    "chartevents": "subject_id,hadm_id,stay_id,caregiver_id,charttime,storetime,itemid,value,valuenum,valueuom,warning",
    "outputevents": "subject_id,hadm_id,stay_id,caregiver_id,charttime,storetime,itemid,value,valueuom",
    "d_items": "itemid,label,abbreviation,linksto,category,unitname,param_type,lownormalvalue,highnormalvalue",
}
NOTES = dict.fromkeys(
    ("discharge", "radiology"), "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text"
)
HEADERS = {"hosp": HOSP, "icu": ICU, "note": NOTES}
"""By folder and table."""
MARK = "simulated"
"""A last column that the release does not have, 1 in every row."""
YEARS: dict[str, tuple[str, ...]] = {
    "2.2": ("2008 - 2010", "2011 - 2013", "2014 - 2016", "2017 - 2019"),
    "3.1": ("2008 - 2010", "2011 - 2013", "2014 - 2016", "2017 - 2019", "2020 - 2022"),
}
NINTH, MIXED = ("2008 - 2010", "2011 - 2013"), "2014 - 2016"
"""Year groups coded in ICD-9; the group in which the hospital changed to ICD-10 (October 2015)."""
INSURANCE = {"2.2": ("Medicare", "Medicaid", "Other"), "3.1": ("Medicare", "Private", "Medicaid", "Other", "No charge")}
LANGUAGE = {"2.2": ("ENGLISH", "?"), "3.1": ("English", "Spanish", "Portuguese", "Chinese")}
RACES = ("WHITE", "BLACK/AFRICAN AMERICAN", "HISPANIC/LATINO - PUERTO RICAN", "ASIAN - CHINESE", "UNKNOWN")
CARE_UNITS = {
    "MICU": "Medical Intensive Care Unit (MICU)",
    "SICU": "Surgical Intensive Care Unit (SICU)",
    "CCU": "Coronary Care Unit (CCU)",
    "CSRU": "Cardiac Vascular Intensive Care Unit (CVICU)",
    "TSICU": "Trauma SICU (TSICU)",
}
KINDS = {
    "EMERGENCY": ("EW EMER.", "DIRECT EMER.", "OBSERVATION ADMIT", "EU OBSERVATION"),
    "URGENT": ("URGENT",),
    "ELECTIVE": ("ELECTIVE", "SURGICAL SAME DAY ADMISSION"),
}
"""MIMIC-III's kinds of admission → those of MIMIC-IV that stand for each."""
TENTH = {
    "1629": "C3490", "1749": "C50919", "1539": "C189", "185": "C61", "2252": "D320", "2113": "D126", "2189": "D259",
    "1977": "C787", "1985": "C7951", "1970": "C7800", "20280": "C8580", "20300": "C9000",
    "486": "J189", "5070": "J690", "51881": "J9600", "49121": "J441", "5119": "J90", "5180": "J9811",
    "0389": "A419", "25000": "E119", "2859": "D649", "2724": "E785", "2930": "F05", "311": "F329", "34590": "G40909", "4019": "I10",
    "4280": "I509", "42731": "I4891", "41401": "I2510", "5849": "N179", "5715": "K7460", "5990": "N390", "7070": "L89159",
    "71590": "M1990", "7455": "Q211", "78039": "R569", "7907": "R7881", "7991": "R092", "99592": "R6520", "9974": "K9189",
    "V1582": "Z87891", "V4581": "Z951", "E8788": "Y838", "E9342": "T45515A", "042": "B20",
}  # fmt: skip
"""The simulated ICD-9 codes → ICD-10, neoplasms and respiratory codes within their group."""
