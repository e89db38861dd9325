"""How well scores find what is wrong where the truth is known: labels, regions and voxels."""
