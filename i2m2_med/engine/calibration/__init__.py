"""Temperatures, class shifts, conformal sets, priors: fitted on validation, applied to predictions."""
