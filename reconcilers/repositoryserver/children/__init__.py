"""The objects that make up a server: as they should be, and brought about.

| child         | name                       | lives as long as                                |
| Secret        | `<name>-<hash>`            | its ReplicaSet; immutable                       |
| ReplicaSet    | `<name>-<hash>`            | it is the update revision, or has a pod         |
| Secret        | `repo-server-<name>-users` | the resource; changes with the access Secrets   |
| Secret        | `repo-server-<name>-tls`   | the resource asks for a certificate             |
| Service       | `repo-server-<name>`       | the resource                                    |
| NetworkPolicy | `repo-server-<name>`       | the resource                                    |
| CronJob       | `repo-server-<name>-maintenance` | the resource has a schedule for maintenance |
| Secret        | `repo-server-<name>-maintenance` | the same                                  |

What they should be are pure functions of the resource; `applier` and `workload` write them.
"""
