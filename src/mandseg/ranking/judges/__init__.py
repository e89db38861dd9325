"""Networks that judge labels of cases that they were not trained on: of folds or of a study, and their predictions."""
