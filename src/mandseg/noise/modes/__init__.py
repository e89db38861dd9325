"""One contouring error a class, in mm."""
