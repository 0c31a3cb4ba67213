"""Who carries what, and the sequences that come of it."""
