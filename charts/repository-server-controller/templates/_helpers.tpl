{{/* Name of the objects of a release: its own name, if that has the chart's in it. */}}
{{- define "rsc.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/*
Ends the name of what is cluster-wide. A release is known by its namespace and its name; no
namespace has a dot, so that two releases never have the same one.
*/}}
{{- define "rsc.clusterSuffix" -}}
{{- printf "%s.%s" .Release.Namespace .Release.Name -}}
{{- end -}}

{{- define "rsc.serviceAccountName" -}}
{{- if eq "default" .Values.serviceAccount.name -}}
{{- fail "serviceAccount.name must not be default: every pod of the namespace would have the controller's rights" -}}
{{- end -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "rsc.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name is needed where serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "rsc.selectorLabels" -}}
app.kubernetes.io/name: repository-server-controller
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "rsc.labels" -}}
{{ include "rsc.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The namespaces that are served, as a list in JSON. */}}
{{- define "rsc.namespaces" -}}
{{- default (list .Release.Namespace) .Values.namespaces | uniq | toJson -}}
{{- end -}}

{{/*
The variables with the times of the Lease, of the controller whose variables begin with a prefix. They
have to fit together: see controller/leaderelection/lease.py.
*/}}
{{- define "rsc.leaseTimes" -}}
{{- $prefix := .prefix -}}
{{- with .root.Values.leaderElection -}}
{{- if le (float64 .renewDeadline) (mulf 1.2 .retryPeriod) -}}
{{- fail (printf "leaderElection.renewDeadline (%v) must be above 1.2 times leaderElection.retryPeriod (%v)" .renewDeadline .retryPeriod) -}}
{{- end -}}
{{- if le (float64 .leaseDuration) (float64 .renewDeadline) -}}
{{- fail (printf "leaderElection.leaseDuration (%v) must be above leaderElection.renewDeadline (%v)" .leaseDuration .renewDeadline) -}}
{{- end -}}
- name: {{ $prefix }}_LEADER_ELECTION_LEASE_DURATION
  value: {{ .leaseDuration | quote }}
- name: {{ $prefix }}_LEADER_ELECTION_RENEW_DEADLINE
  value: {{ .renewDeadline | quote }}
- name: {{ $prefix }}_LEADER_ELECTION_RETRY_PERIOD
  value: {{ .retryPeriod | quote }}
{{- end -}}
{{- end -}}

{{- define "rsc.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- end -}}
{{- end -}}

{{/*
Name of the objects of the controller of ActionSets: that of the others, with its own word in it. At
most 52 characters, as that of the others: the name of a Service has 63, `-metrics` among them.
*/}}
{{- define "asc.fullname" -}}
{{- $name := include "rsc.fullname" . -}}
{{- if contains "repository-server-controller" $name -}}
{{- $name | replace "repository-server-controller" "actionset-controller" -}}
{{- else -}}
{{- printf "%s-actionset-controller" ($name | trunc 31 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{- define "asc.selectorLabels" -}}
app.kubernetes.io/name: actionset-controller
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "asc.labels" -}}
{{- include "rsc.labels" . | replace "app.kubernetes.io/name: repository-server-controller" "app.kubernetes.io/name: actionset-controller" -}}
{{- end -}}
