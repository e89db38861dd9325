"""The dose scores of the runs of a study: made from its networks and planned doses, and read for its report."""
