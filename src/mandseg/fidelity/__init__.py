"""Fidelity to real people: are the drawings of a simulated panel distributed like those of the people it stands for?

A cohort with two labels a case in; distributions of real and simulated drawings, their distances and figures out. One
half of the pairs is there to fit a preset on, the other to check it.
"""
