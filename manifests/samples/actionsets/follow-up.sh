#!/usr/bin/env bash
# Makes an ActionSet for another action on what a finished one has backed up, as `kanctl create actionset
# --action ACTION --from NAME` does. kanctl leaves out preferredVersion and repositoryServer, which data
# functions need; this does not.
#
# Usage: follow-up.sh ACTION NAMESPACE NAME [OPTIONS OF KUBECTL]
#   follow-up.sh restore kanister backup-postgresql-x7k2p
set -euo pipefail

action=$1 namespace=$2 name=$3
shift 3

get() {
    kubectl get actionset "$name" --namespace="$namespace" "$@"
}

state=$(get --output='jsonpath={.status.state}' "$@")
if [[ $state != complete ]]; then
    echo "ActionSet $namespace/$name is ${state:-pending}: it has artifacts once it is complete" >&2
    exit 1
fi

# Values are quoted as Go does it, which YAML reads. The dollars are Go's.
# shellcheck disable=SC2016
template='{{ define "reference" }}{{ range $key, $value := . }}
        {{ $key }}: {{ printf "%q" $value }}{{ end }}{{ end -}}
apiVersion: cr.kanister.io/v1alpha1
kind: ActionSet
metadata:
  generateName: ACTION-{{ .metadata.name }}-
  namespace: {{ .metadata.namespace }}
spec:
  actions:{{ $status := .status }}{{ range $index, $action := .spec.actions }}
    - name: ACTION
      blueprint: {{ $action.blueprint }}
      object:{{ template "reference" $action.object }}{{ if $action.preferredVersion }}
      preferredVersion: {{ $action.preferredVersion }}{{ end }}{{ if $action.repositoryServer }}
      repositoryServer:{{ template "reference" $action.repositoryServer }}{{ end }}{{ if $action.profile }}
      profile:{{ template "reference" $action.profile }}{{ end }}{{ if $action.options }}
      options:{{ template "reference" $action.options }}{{ end }}
      artifacts:{{ range $name, $artifact := (index $status.actions $index).artifacts }}
        {{ $name }}:{{ if $artifact.kopiaSnapshot }}
          kopiaSnapshot: {{ printf "%q" $artifact.kopiaSnapshot }}{{ end }}{{ if $artifact.keyValue }}
          keyValue:{{ range $key, $value := $artifact.keyValue }}
            {{ $key }}: {{ printf "%q" $value }}{{ end }}{{ end }}{{ end }}{{ end }}
'
get --output="go-template=${template//ACTION/$action}" "$@" |
    kubectl create --filename=- "$@"
