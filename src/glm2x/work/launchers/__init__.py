"""Who calls `glm2x.work.unit.run_shard`: this process, several on this machine, Ray, or SLURM."""
