"""Networks that judge labels of cases that they do not know: trained on folds, found in a study, asked, compared."""
