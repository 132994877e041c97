"""Who maintains the repository of a server: a CronJob of ours, somebody else, or nobody."""
