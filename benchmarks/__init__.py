"""Measurements beside the tools that they compare with, always in one run."""
