"""Cells of foreign tables: times, numbers, marks and texts as people export them, read alike or not at all, and counted.

What a cell stands for is never guessed. A column whose cells can be read in two ways (03/04/2150, 1,234) is judged by all its
cells; where they don't decide, the cells are unreadable, and whoever reads the table judges their share.
"""
