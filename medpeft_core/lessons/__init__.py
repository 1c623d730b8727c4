"""Lessons: fixed experiments on synthetic data, each with its runs, its result as one dict, and its words. Light."""
