"""The objects that make up a server: as they should be, and brought about.

| child         | name               | lives as long as                                     |
| Secret        | `<name>-<digest>`  | a pod uses it; immutable                             |
| Secret        | `repo-server-<name>-users` | the resource; changes with the access Secrets |
| Secret        | `repo-server-<name>-tls` | the resource asks for a certificate          |
| Pod           | `<name>-<digest>`  | it is the newest, serves until that does, or drains  |
| Service       | `repo-server-<name>` | the resource                                       |
| NetworkPolicy | `repo-server-<name>` | the resource                                       |

What they should be are pure functions of the resource; `applier` writes them.
"""
