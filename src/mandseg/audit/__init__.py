"""The audit: a cohort with two labels in; differences by annotator and region, and an order of correction out.

Modules: the two labels of a case (``pair``), their measurement, tables, the finding in words, figures, pictures of
single cases, and the page.
"""
