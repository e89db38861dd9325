"""Two masks in, numbers out: Dice, distances, displacement, regions; the catalogue of metrics and their margins."""
