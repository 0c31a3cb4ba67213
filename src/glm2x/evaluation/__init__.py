"""How well predictions agree with measurements: metrics, their uncertainty, comparisons and leak checks."""
