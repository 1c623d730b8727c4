"""Turns a config into a model and batches, trains, evaluates and checkpoints; knows no user interface."""
