"""Shifts of NLVR: noise on pictures (or on the features of objects), words of the sentence that are lost."""

from i2m2_med.samples.picture_and_text import suite

SUITE = suite("nlvr", "picture", "sentence")
