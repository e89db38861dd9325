"""Fidelity to real people: are the drawings of a simulated panel distributed like those of the people it stands for?

A cohort with two labels a case in; distributions of real and simulated drawings, their distances and figures out. A
preset that is fitted here is checked on pairs that it was not fitted on.
"""
