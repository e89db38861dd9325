"""DICOM-RT: CT series, structure sets and doses in, structure sets out, and pseudonyms for whoever is named in them."""
