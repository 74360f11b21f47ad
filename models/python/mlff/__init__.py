"""Students (distilled neural-network potentials) for `pair_style mlff`: train, export, check, run from ASE."""
