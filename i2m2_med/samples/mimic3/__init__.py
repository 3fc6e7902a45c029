"""MIMIC: shifts of series, statics and notes."""
