"""From a laptop to a cluster: work that is planned in shards, run by any launcher, and put together."""
