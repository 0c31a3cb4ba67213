"""The figures of the report: each function takes plain numbers and returns one inline SVG."""
