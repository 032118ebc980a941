"""Every number of every table that is made from scores, worked out again from the rows with dictionaries and loops.

Of the generated study alone: its three types, two levels and five tasks are taken for granted. Nothing of the package
is used but the row itself and, where a number is a share of resamples, which groups were drawn.
"""
