"""Reference windows, phased variants, haplotypes and genes: DNA alone, without people's expression."""
