"""What the templates of an action can name: gathered in two parts, handed on as one JSON document.

The names are those of Kanister's TemplateParams (pkg/param/param.go), spelled as Go's JSON encoder
spells them, so that the renderer decodes the document into the same types. A key that has no value
is left out.

| key | when | value |
|---|---|---|
| Time | frozen | when the action began, UTC: RFC 3339, at most 6 digits after the second |
| StatefulSet, Deployment, DeploymentConfig | frozen | Name, Namespace, Pods (list of names), Containers (a list of names for each pod), PersistentVolumeClaims (pod -> claim -> mountPath). One of them, by the kind of the object |
| PVC, Namespace | frozen | Name, Namespace. By the kind of the object |
| Object | frozen | the object, whole but for managedFields and the annotation of kubectl apply. Live if it is a Secret |
| ArtifactsIn | frozen | name -> keyValue (name -> text), kopiaSnapshot (text) |
| Options, PodLabels, PodAnnotations | frozen | name -> text |
| PodOverride | frozen | a partial PodSpec |
| Secrets, ConfigMaps | live | alias -> the object as the API has it, a Secret's data in base64 |
| Profile | live | Location (type, bucket, endpoint, prefix, region), Credential (Type, and KeyPair: ID, Secret; or Secret: a Secret; or KopiaServerSecret: Username, Hostname, Password, Cert, ConnectOptions (name -> integer)), SkipSSLVerify |
| RepositoryServer | live | Name, Namespace, ServerInfo (podName, serviceName), Username, Credentials (ServerTLS, ServerUserAccess: Secrets), Address, ContentCacheMB, MetadataCacheMB |
| Phases | live | phase -> Secrets, ConfigMaps (alias -> object), Output (name -> any JSON; absent while the phase has none). Phases up to the one that runs |
| DeferPhase | live | as one of Phases; always there |

The frozen part is gathered once, when the action begins, and stored in the Secret that the
ActionSet owns (`document.encode`). It has one more key, `workloadPods` (`document.POD_RECORDS`):
the workload's pods as `podrecord.record` keeps them, for functions that place a pod beside them.
Templates do not see it. The live part is read when a phase begins and never stored.

Where it differs from Kanister: PersistentVolumeClaims has the claims that the pods name, not names
computed from the StatefulSet; a pod that is being deleted does not count; everything live is as it
is when the phase begins, not when the action did; ServerTLS has no private key. `.CurrentPhase` is
never set there while arguments are rendered (pkg/phase.go, Exec), so it is not here.
"""  # noqa: E501 - a table
