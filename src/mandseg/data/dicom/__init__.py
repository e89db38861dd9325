"""DICOM-RT: reads CT series, structure sets and doses, writes structure sets, and replaces names by pseudonyms."""
