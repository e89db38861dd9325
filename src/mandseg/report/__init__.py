"""A study folder -> report/: a page that needs nothing else, its PDF, figures, tables, and the methods in words."""
