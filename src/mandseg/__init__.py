"""How much annotation noise a mandible segmentation network can tolerate, and which contours to correct."""

__version__ = "0.1.0"
