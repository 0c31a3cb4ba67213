"""Heads: what turns a haplotype's tokens or bins [batch, tokens, width] into one number [batch]."""
