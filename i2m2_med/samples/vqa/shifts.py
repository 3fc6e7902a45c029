"""Shifts of questions about pictures: noise on the picture, words of the question that are lost."""

from i2m2_med.samples.picture_and_text import suite

SUITE = suite("vqa", "picture", "question")
