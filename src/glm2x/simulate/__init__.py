"""Cohorts with a known truth: sequences, genotypes and expression by rules that are written down."""
