"""Fidelity: do the drawings of a simulated panel have the same distribution as the drawings of real people?

A cohort with two labels for each case in; distributions of real and simulated drawings, their distances and figures
out. A fitted preset is checked on pairs that were not used in the fit.
"""
