"""glm2x: predict a person's gene expression from that person's two haplotypes."""

__version__ = "0.1.0"
