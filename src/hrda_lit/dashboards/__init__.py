"""Dashboards: pictures and tables of a run for W&B, MLflow, Trackio and TensorBoard."""
