"""Backbones: one file a model, and a registry that knows them without importing torch."""
