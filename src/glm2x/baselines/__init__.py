"""Baselines: linear models and controls that a deep model must beat, with the same contract as a model.

`registry` names them, `run.run_baselines` fits them to a cohort and a split. No torch anywhere.
"""
