"""Templates of Blueprints, rendered by the program in `renderer/`: Go's text/template and sprig.

The program is a child process. It has no environment and no function that reaches the network or
a file, and it is limited in time, memory and output (`child.Limits`). Parameters go to it by its
standard input.

The JSON of the parameters is what Go prints for Kanister's `param.TemplateParams` (Kanister
pkg/param/param.go, with RepositoryServer as in its last version that had it). The structs are in
`renderer/parameters.go`. Names are matched by case. A field that is absent or null is not set; a
template that looks into it fails.

    {
      "StatefulSet": {                          # or "Deployment", "DeploymentConfig"
        "Name": "db", "Namespace": "app",
        "Pods": ["db-0"],
        "Containers": [["postgres", "tools"]],  # a list a pod, in the order of Pods
        "PersistentVolumeClaims": {"db-0": {"data-db-0": "/var/lib/data"}}
      },
      "PVC": {"Name": "...", "Namespace": "..."},
      "Namespace": {"Name": "app", "Namespace": "app"},
      "Object": {...},                          # the object as the API server has it
      "ArtifactsIn": {"dump": {"keyValue": {"path": "..."}, "kopiaSnapshot": "..."}},
      "ConfigMaps": {"alias": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {...},
                               "data": {"key": "text"}, "binaryData": {"key": "<base64>"}}},
      "Secrets": {"alias": {"apiVersion": "v1", "kind": "Secret", "metadata": {...},
                            "data": {"key": "<base64>"}, "type": "Opaque"}},
      "Profile": {
        "Location": {"type": "...", "bucket": "", "endpoint": "", "prefix": "", "region": ""},
        "Credential": {                         # one of the three, by Type
          "Type": "keyPair",                    # or "secret", "kopia"
          "KeyPair": {"ID": "...", "Secret": "..."},
          "Secret": {...},                      # a Secret as above
          "KopiaServerSecret": {"Username": "", "Hostname": "", "Password": "", "Cert": "<PEM>",
                                "ConnectOptions": {"option": 1}}
        },
        "SkipSSLVerify": false
      },
      "RepositoryServer": {
        "Name": "...", "Namespace": "...",
        "ServerInfo": {"podName": "...", "serviceName": "..."},
        "Username": "...",
        "Credentials": {"ServerTLS": {...}, "ServerUserAccess": {...}},    # Secrets as above
        "Address": "https://SERVICE.NAMESPACE.svc.cluster.local:PORT",
        "ContentCacheMB": 0, "MetadataCacheMB": 0
      },
      "Options": {"name": "text"},
      "Time": "2026-01-02T03:04:05.000000006Z", # RFC 3339 with nanoseconds, in UTC
      "Phases": {"name": {"Secrets": {...}, "ConfigMaps": {...}, "Output": {"key": ...}}},
      "DeferPhase": {"Secrets": {...}, "ConfigMaps": {...}, "Output": {...}},
      "PodOverride": {...}, "PodLabels": {"name": "text"}, "PodAnnotations": {"name": "text"}
    }

Numbers without a point or an exponent are integers to a template, others floats. `CurrentPhase` is
known and never set, as in Kanister while it renders (pkg/phase.go, Exec). `DeferPhase` is never
null there: it is `{}` where there is none.
"""
