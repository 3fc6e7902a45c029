"""The published MIMIC-III task by plain loops over rows, as its views and scripts are written: the oracle for `i2m2_compat`.

Follows USC-Melady/Benchmarking_DL_MIMICIII (views gen_*_ts.sql, get_17_features_processed.py,
get_time_series_sample_17_features_processed.py) and MultiBench's loader; shares nothing with `i2m2_med.sources.mimic3`.
"""

import math
import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

VITALS = {
    **dict.fromkeys((211, 220045), 1),
    **dict.fromkeys((51, 442, 455, 6701, 220179, 220050), 2),
    **dict.fromkeys((223761, 678, 223762, 676), 3),
}
URINE = (40055, 43175, 40069, 40094, 40715, 40473, 40085, 40057, 40056, 40405, 40428, 40086, 40096, 40651, 226559)
URINE += (226560, 226561, 226584, 226563, 226564, 226565, 226567, 226557, 226558, 227488, 227489)
LABS = {51006: (7, 300), 51300: (8, 1000), 51301: (8, 1000), 50882: (9, 10000), 50824: (10, 200), 50983: (10, 200)}
LABS |= {50822: (11, 30), 50971: (11, 30), 50885: (12, 150)}
GAS = {
    50800: "SPECIMEN",
    50801: "AADO2",
    50803: "BICARBONATE",
    50804: "TOTALCO2",
    50811: "HEMOGLOBIN",
    50813: "LACTATE",
}
GAS |= {50815: "O2FLOW", 50816: "FIO2", 50817: "SO2", 50818: "PCO2", 50820: "PH", 50821: "PO2"}
CAPS = {50816: 100, 50817: 100, 50815: 70, 50821: 800}
CHART = (184, 454, 723, 220739, 223900, 223901, 646, 220277, 223835, 3420, 3422, 190)
USED = ["SUBJECT_ID", "HADM_ID", "ICUSTAY_ID", "ITEMID", "CHARTTIME", "VALUE", "VALUENUM", "ERROR"]
HOUR = 3600.0


def table(root: Path, name: str, times: list[str]) -> pd.DataFrame:
    frame = pd.read_csv(root / f"{name}.csv.gz", low_memory=False)
    return frame.assign(**{time: pd.to_datetime(frame[time]) for time in times})


class Tables:
    def __init__(self, root: Path) -> None:
        self.patients = table(root, "PATIENTS", ["DOB", "DOD"]).set_index("SUBJECT_ID")
        self.admissions = table(root, "ADMISSIONS", ["ADMITTIME", "DISCHTIME", "DEATHTIME"])
        self.stays = table(root, "ICUSTAYS", ["INTIME", "OUTTIME"]).sort_values(["HADM_ID", "INTIME"])
        self.services = table(root, "SERVICES", ["TRANSFERTIME"])
        self.codes = pd.read_csv(root / "DIAGNOSES_ICD.csv.gz", dtype={"ICD9_CODE": str}).sort_values("SEQ_NUM")
        chart = pd.read_csv(root / "CHARTEVENTS.csv.gz", usecols=USED, dtype={"VALUE": str})
        chart = chart[chart.ITEMID.isin([*VITALS, *CHART])]
        self.chart = dict(list(chart.assign(CHARTTIME=pd.to_datetime(chart.CHARTTIME)).groupby("HADM_ID")))
        self.labs = dict(list(table(root, "LABEVENTS", ["CHARTTIME"]).groupby("HADM_ID")))
        self.output = dict(list(table(root, "OUTPUTEVENTS", ["CHARTTIME"]).groupby("HADM_ID")))


def vitals(rows: pd.DataFrame, stays: pd.DataFrame) -> dict[tuple[pd.Timestamp, int], float]:
    intime = stays.set_index("ICUSTAY_ID")["INTIME"]
    seen = defaultdict(list)
    for row in rows.itertuples():
        if (
            row.ITEMID in VITALS
            and row.ERROR != 1
            and row.ICUSTAY_ID in intime
            and intime[row.ICUSTAY_ID] <= row.CHARTTIME
        ):
            v, fahrenheit = row.VALUENUM, row.ITEMID in (223761, 678)
            kind = VITALS[row.ITEMID]
            fits = (0 < v < 300, 0 < v < 400, 70 < v < 120 if fahrenheit else 10 < v < 50)[kind - 1]
            if fits:
                seen[row.CHARTTIME, {1: 2, 2: 1, 3: 3}[kind]].append((v - 32) / 1.8 if fahrenheit else v)
    return {key: float(np.mean(values)) for key, values in seen.items()}


def coma(rows: pd.DataFrame, stays: pd.DataFrame) -> dict[tuple[pd.Timestamp, int], float]:
    part = {454: 0, 223901: 0, 723: 1, 223900: 1, 184: 2, 220739: 2}
    scores = defaultdict(list)
    for stay in stays.itertuples():
        base = defaultdict(lambda: [math.nan] * 3)
        for row in rows[rows.ITEMID.isin(part)].itertuples():
            if row.ICUSTAY_ID == stay.ICUSTAY_ID and row.ERROR != 1 and row.CHARTTIME >= stay.INTIME:
                value = 0.0 if row.VALUE in ("1.0 ET/Trach", "No Response-ETT") else row.VALUENUM
                now = base[row.CHARTTIME]
                now[part[row.ITEMID]] = (
                    np.nanmax([now[part[row.ITEMID]], value]) if not math.isnan(value) else now[part[row.ITEMID]]
                )
        before = None
        for time in sorted(base):
            m, v, e = base[time]
            recent = before is not None and before > time - pd.Timedelta(hours=6)
            pm, pv, pe = base[before] if recent else (math.nan,) * 3
            first = lambda *values: next(x for x in values if not math.isnan(x))  # noqa: E731
            if v == 0 or (math.isnan(v) and pv == 0):
                score = 15.0
            elif pv == 0:
                score = first(m, 6) + first(v, 5) + first(e, 4)
            else:
                score = first(m, pm, 6) + first(v, pv, 5) + first(e, pe, 4)
            scores[time, 0].append(score)
            before = time
    return {key: max(values) for key, values in scores.items()}


def gases(chart: pd.DataFrame, labs: pd.DataFrame, stays: pd.DataFrame) -> dict[tuple[pd.Timestamp, int], float]:
    found = defaultdict(list)
    for stay in stays.itertuples():
        own = chart[chart.ICUSTAY_ID == stay.ICUSTAY_ID]
        spo2 = [
            (r.CHARTTIME, r.VALUENUM if 0 < r.VALUENUM <= 100 else math.nan)
            for r in own[own.ITEMID.isin([646, 220277])].itertuples()
            if r.CHARTTIME >= stay.INTIME
        ]
        fio2 = [
            (r.CHARTTIME, charted_fio2(r.ITEMID, r.VALUENUM))
            for r in own[own.ITEMID.isin([223835, 3420, 3422, 190]) & (own.ERROR != 1)].itertuples()
            if r.CHARTTIME >= stay.INTIME
        ]
        samples: dict[pd.Timestamp, dict[str, list]] = defaultdict(lambda: defaultdict(list))
        for row in labs[labs.ITEMID.isin(GAS) & (stay.INTIME - pd.Timedelta(hours=6) <= labs.CHARTTIME)].itertuples():
            name = GAS[row.ITEMID]
            if name == "SPECIMEN":
                if isinstance(row.VALUE, str):
                    samples[row.CHARTTIME][name].append(row.VALUE)
            elif row.VALUENUM > 0 and CAPS.get(row.ITEMID, math.inf) >= row.VALUENUM:
                samples[row.CHARTTIME][name].append(row.VALUENUM)
        for time, values in samples.items():
            if values["PO2"]:
                arterial(
                    found,
                    time,
                    {k: max(v) for k, v in values.items() if v},
                    latest(spo2, time, 2),
                    latest(fio2, time, 4),
                )
    return {key: float(np.mean(values)) for key, values in found.items() if values}


def charted_fio2(item: int, v: float) -> float:
    if item == 223835:
        return v * 100 if 0 < v <= 1 else v if 21 <= v <= 100 else math.nan
    if item == 190:
        return v * 100 if 0.20 < v < 1 else math.nan
    return v


def latest(series: list, time: pd.Timestamp, hours: int) -> float:
    inside = [(t, v) for t, v in series if time - pd.Timedelta(hours=hours) <= t <= time]
    if not inside:
        return math.nan
    last = max(t for t, _ in inside)
    values = [v for t, v in inside if t == last and not math.isnan(v)]
    return max(values) if values else math.nan


def arterial(found: dict, time: pd.Timestamp, v: dict, spo2: float, fio2: float) -> None:
    z = -0.02544 + 0.04598 * v["PO2"]
    for weight, mean, missing, value in (
        (-0.15356, 97.49420, 0.13429, spo2),
        (0.00621, 51.49550, -0.24958, fio2),
        (0.10559, 10.32307, 0.05954, v.get("HEMOGLOBIN")),
        (0.13251, 93.66539, -0.23172, v.get("SO2")),
        (-0.01511, 42.08866, -0.01630, v.get("PCO2")),
        (0.01480, 63.97836, -0.31142, v.get("FIO2")),
        (-0.00200, 442.21186, -0.01328, v.get("AADO2")),
        (-0.03220, 22.96894, -0.06535, v.get("BICARBONATE")),
        (0.05384, 24.72632, -0.01405, v.get("TOTALCO2")),
        (0.08202, 3.06436, 0.06038, v.get("LACTATE")),
        (0.10956, 7.36233, -0.00617, v.get("PH")),
        (0.00848, 7.59362, -0.35803, v.get("O2FLOW")),
    ):
        z += weight * mean + missing if value is None or math.isnan(value) else weight * value
    if v.get("SPECIMEN") == "ART" or 1 / (1 + math.exp(-z)) > 0.75:
        found[time, 4].append(v["PO2"])
        of_sample = v.get("FIO2", fio2)
        if not math.isnan(of_sample):
            found[time, 5].append(of_sample)


def urine(rows: pd.DataFrame, stays: pd.DataFrame) -> dict[tuple[pd.Timestamp, int], float]:
    per_stay = defaultdict(float)
    intime = stays.set_index("ICUSTAY_ID")["INTIME"]
    for row in rows.itertuples():
        counts = row.ITEMID in URINE and row.ICUSTAY_ID in intime and not math.isnan(row.VALUE)
        if counts and intime[row.ICUSTAY_ID] <= row.CHARTTIME:
            per_stay[row.ICUSTAY_ID, row.CHARTTIME] += -row.VALUE if row.ITEMID == 227488 else row.VALUE
    merged = defaultdict(list)
    for (_, time), total in per_stay.items():
        merged[time, 6].append(total)
    return {key: float(np.mean(values)) for key, values in merged.items()}


def chemistry(labs: pd.DataFrame, stays: pd.DataFrame) -> dict[tuple[pd.Timestamp, int], float]:
    least: dict[tuple[pd.Timestamp, int], float] = {}
    since = stays["INTIME"].min() - pd.Timedelta(hours=6)
    for row in labs[labs.ITEMID.isin(LABS)].itertuples():
        column, cap = LABS[row.ITEMID]
        if since <= row.CHARTTIME and 0 < row.VALUENUM <= cap:
            key = (row.CHARTTIME, column)
            least[key] = min(least.get(key, math.inf), row.VALUENUM)
    return least


def binned(values: dict[tuple[pd.Timestamp, int], float]) -> np.ndarray | None:
    """Hours (closed at both ends) × 13, of the whole stay; None where the records span no more than 24 hours."""
    moments = sorted({time for time, _ in values})
    if not moments or (moments[-1] - moments[0]).total_seconds() <= 24 * HOUR:
        return None
    after = np.array([(time - moments[0]).total_seconds() for time in moments])
    raw = np.full((len(moments), 13), np.nan)
    place = {time: index for index, time in enumerate(moments)}
    for (time, column), value in values.items():
        raw[place[time], column] = value
    out = np.full((math.ceil(after[-1] / HOUR), 13), np.nan)
    for hour in range(len(out)):
        inside = raw[(after >= hour * HOUR) & (after <= (hour + 1) * HOUR)]
        for column in range(13):
            known = inside[~np.isnan(inside[:, column]), column]
            out[hour, column] = known.mean() if len(known) else np.nan
    return out


def imputed(hours: np.ndarray) -> np.ndarray:
    """24 × 12: forward, then backward over the whole stay (not urine), then the stay's mean; then the ratio, filled again."""
    x = hours.copy()
    means = [column[~np.isnan(column)].mean() if (~np.isnan(column)).any() else np.nan for column in hours.T]
    for column in (c for c in range(13) if c != 6):
        for hour in range(1, len(x)):
            x[hour, column] = x[hour - 1, column] if np.isnan(x[hour, column]) else x[hour, column]
        for hour in range(len(x) - 2, -1, -1):
            x[hour, column] = x[hour + 1, column] if np.isnan(x[hour, column]) else x[hour, column]
    x = np.where(np.isnan(x), np.array(means)[None], x)[:24]
    with np.errstate(all="ignore"):
        ratio = x[:, 4] / x[:, 5]
    ratio[np.isinf(ratio)] = np.nan
    mean = ratio[~np.isnan(ratio)].mean() if (~np.isnan(ratio)).any() else np.nan
    for hour in range(1, 24):
        ratio[hour] = ratio[hour - 1] if np.isnan(ratio[hour]) else ratio[hour]
    ratio[np.isnan(ratio)] = mean
    return np.column_stack([x[:, :4], ratio, x[:, 6:]])


def features(t: Tables, adm: pd.Series, stays: pd.DataFrame) -> list[float]:
    codes = [str(code).ljust(5)[:5] for code in t.codes[t.codes.HADM_ID == adm.HADM_ID].ICD9_CODE.dropna()]
    between = lambda *ranges: float(any(low <= code <= high for code in codes for low, high in ranges))  # noqa: E731
    days = (stays.INTIME.iloc[0].normalize() - t.patients.DOB[adm.SUBJECT_ID].normalize()).days
    services = t.services[t.services.HADM_ID == adm.HADM_ID].sort_values("TRANSFERTIME")
    surgical = bool(len(services)) and "surg" in services.CURR_SERVICE.iloc[0].lower()
    return [
        round(days / 365.242, 2) * 365.242,
        between(("042  ", "0449 ")),
        between(("20000", "20238"), ("20240", "20248"), ("20250", "20302"), ("20310", "20312"), ("20302", "20382"),
                ("20400", "20522"), ("20580", "20702"), ("20720", "20892"), ("2386 ", "2386 "), ("2733 ", "2733 ")),
        between(("1960 ", "1991 "), ("20970", "20975"), ("20979", "20979"), ("78951", "78951")),
        (1.0 if adm.ADMISSION_TYPE == "ELECTIVE" else 2.0) if surgical else 0.0,
    ]  # fmt: skip


def mortality(t: Tables, adm: pd.Series, stays: pd.DataFrame) -> int:
    nested = [0] * 6
    if not pd.isna(adm.DEATHTIME):
        seconds = (adm.DEATHTIME - stays.INTIME.iloc[0]).total_seconds()
        nested[:4] = [1, *(int(seconds <= days * 24 * HOUR) for days in (1, 2, 3))]
    died = t.patients.DOD[adm.SUBJECT_ID]
    if not pd.isna(died):
        seconds = (died - adm.DISCHTIME).total_seconds()
        nested[4:] = [int(seconds <= 30 * 24 * HOUR), int(seconds <= 365.245 * 24 * HOUR)]
    return next((place for place in range(1, 6) if nested[place]), 0)


def groups(t: Tables, hadm: int) -> list[int]:
    bounds = [(1, 139), (140, 239), (240, 279), (280, 289), (290, 319), (320, 389), (390, 459), (460, 519), (520, 579)]
    bounds += [
        (580, 629),
        (630, 677),
        (680, 709),
        (710, 739),
        (740, 759),
        (760, 779),
        (780, 789),
        (790, 796),
        (797, 799),
    ]
    bounds += [(800, 999)]
    found: list[int] = []
    for code in t.codes[hadm == t.codes.HADM_ID].ICD9_CODE.dropna():
        if code[0] in "VE":
            found.append({"V": 19, "E": 20}[code[0]])
        else:
            inside = [g for g, (low, high) in enumerate(bounds) if low <= float(code[:3]) <= high]
            found.append(inside[0] if inside else found[-1])
    return found


def published(root: Path, every: int = 1) -> dict[str, np.ndarray]:
    """`ep_tdata` (N, 24, 12), `adm_features_all` (N, 5), `y` (6 classes), `y_icd9` (N, columns), `hadm`, in the order of hadm.

    every: only each so-many-th admission (then `y_icd9` has other columns).
    """
    t = Tables(root)
    first = t.admissions.sort_values(["ADMITTIME", "HADM_ID"]).groupby("SUBJECT_ID").head(1).sort_values("HADM_ID")
    out: dict[str, list] = defaultdict(list)
    for _, adm in first.iloc[::every].iterrows():
        stays = t.stays[t.stays.HADM_ID == adm.HADM_ID]
        old = (adm.ADMITTIME - t.patients.DOB[adm.SUBJECT_ID]).total_seconds() / 86_400 >= 15 * 365.25
        if not len(stays) or not old:
            continue
        chart, labs, output = (
            rows.get(adm.HADM_ID, next(iter(rows.values())).iloc[:0]) for rows in (t.chart, t.labs, t.output)
        )
        values = vitals(chart, stays) | coma(chart, stays) | gases(chart, labs, stays)
        values |= urine(output, stays) | chemistry(labs, stays)
        hours = binned(values)
        if hours is not None:
            out["ep_tdata"].append(imputed(hours))
            out["adm_features_all"].append(features(t, adm, stays))
            out["y"].append(mortality(t, adm, stays))
            out["groups"].append(groups(t, adm.HADM_ID))
            out["hadm"].append(adm.HADM_ID)
    counts = np.bincount([g for found in out["groups"] for g in found])
    columns = np.flatnonzero(counts > 10)
    out["y_icd9"] = [[int(c in found) for c in columns] for found in out.pop("groups")]
    return {name: np.array(values) for name, values in out.items()}


def loaded(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """What MultiBench's loader makes of it: z-scores over all samples, and each row's part after the shuffle."""
    done = []
    for name in ("ep_tdata", "adm_features_all"):
        x = np.nan_to_num(arrays[name].astype(float), nan=0, posinf=0, neginf=0)
        axes = tuple(range(x.ndim - 1))
        with np.errstate(all="ignore"):
            done.append((x - np.average(x, axis=axes)) / np.std(x, axis=axes))
    rows = list(range(len(arrays["y"])))
    random.seed(10)
    random.shuffle(rows)
    tenth, fifth = len(rows) // 10, len(rows) // 5
    part = dict.fromkeys(rows[:tenth], "valid") | dict.fromkeys(rows[tenth:fifth], "test")
    return done[0], done[1], [part.get(row, "train") for row in range(len(rows))]
