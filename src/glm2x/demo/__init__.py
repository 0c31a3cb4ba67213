"""The real data that travels inside the package; see `data/README.md` for where each file comes from."""
