"""A reference genome: read whole, or by its index."""
