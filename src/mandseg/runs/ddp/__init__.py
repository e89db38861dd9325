"""One run on several devices: the number of its processes, their start, and the work of each."""
