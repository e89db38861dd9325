"""The labels of a cohort that are ranked, and the folds by which networks are trained that do not know a case."""
