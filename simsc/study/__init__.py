"""A study file, and the stages that turn it into results in a run folder."""
