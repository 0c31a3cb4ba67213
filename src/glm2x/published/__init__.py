"""The files of the published benchmark: what its configurations say, as experiments of ours."""
