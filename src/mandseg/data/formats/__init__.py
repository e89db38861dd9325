"""Formats of image files: headers are parsed and bounded here, and voxels are read to their checksum.

No native reader opens an NRRD, MetaImage or NIfTI file, because a header could make it write out of bounds.
"""
