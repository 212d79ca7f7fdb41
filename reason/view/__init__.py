"""`reason view`: a run as one self-contained page, or followed live."""
