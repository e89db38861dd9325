"""The audit: a cohort with two labels in; who contours how, where and how far off, and what to correct first, out.

One file a noun: the two labels of a case (``pair``), what is measured of them (``measurement``), the tables, the
finding in words, the figures, the pictures of single cases, and the page that shows all.
"""
