"""Variant files: from records to columns of alleles, or to one clear error."""
