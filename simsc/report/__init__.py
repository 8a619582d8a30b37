"""Self-contained pages: of a run, of two side by side, of replicas."""
