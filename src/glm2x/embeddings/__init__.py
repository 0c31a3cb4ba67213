"""The embedding store, and the extraction that fills it: what genomic language models make of haplotypes."""
