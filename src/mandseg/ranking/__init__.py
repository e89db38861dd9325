"""Ranks the labels of a cohort by how likely they are wrong, and takes corrected labels in.

A cohort goes in, also one without a reference. A worklist for a specialist and ``ranking.csv`` come out. Only the
package ``scores`` says what is suspicious: one score in each file.
"""
