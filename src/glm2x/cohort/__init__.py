"""People and genes: a cohort folder, its splits, its targets, and the dictionary of unique haplotypes."""
