"""A cohort as people keep it: a CSV of patients with T1-like volumes, clinical columns, report sentences and a lab series."""

from i2m2_med.simulate.table.write import simulate

__all__ = ["simulate"]
