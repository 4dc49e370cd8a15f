"""Schedulers of diffusers, read from their configurations: noise schedules, steps, published ones, and their chart."""
