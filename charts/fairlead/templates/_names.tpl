{{/* The chart's name, or what replaces it. */}}
{{- define "fairlead.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of what is installed: the release's, with the chart's added where it is not part of it. Services
have it and eight characters more, in the 63 that they may have. */}}
{{- define "fairlead.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 55 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 55 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 55 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Where everything is installed that is in a namespace and not the users'. */}}
{{- define "fairlead.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* ClusterRoles are the cluster's: the namespace keeps two releases of one name apart. */}}
{{- define "fairlead.clusterName" -}}
{{- printf "%s:%s" (include "fairlead.namespace" .) (include "fairlead.fullname" .) }}
{{- end }}

{{/* Likewise of the webhook's configuration, whose name may have no colon. */}}
{{- define "fairlead.webhookConfiguration" -}}
{{- printf "%s.%s" (include "fairlead.fullname" .) (include "fairlead.namespace" .) }}
{{- end }}

{{- define "fairlead.serviceAccountName" -}}
{{- default (ternary (include "fairlead.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{/* Who provides the webhook's certificate: cert-manager, the user, or the operators themselves. */}}
{{- define "fairlead.webhookCertificate" -}}
{{- if .Values.webhook.certManager.enabled }}cert-manager
{{- else if or .Values.webhook.certSecretName .Values.webhook.caBundle }}user
{{- else }}operators
{{- end }}
{{- end }}

{{/* The chart's own Secret for it. */}}
{{- define "fairlead.ownWebhookSecret" -}}
{{- printf "%s-webhook-tls" (include "fairlead.fullname" .) }}
{{- end }}

{{/* Where it is. */}}
{{- define "fairlead.webhookSecret" -}}
{{- default (include "fairlead.ownWebhookSecret" .) .Values.webhook.certSecretName }}
{{- end }}

{{/* Policies are the cluster's, and their names have no colon. */}}
{{- define "fairlead.podPolicy" -}}
{{- printf "%s.%s.pods" (include "fairlead.fullname" .) .Release.Namespace }}
{{- end }}

{{/* Where finished runs are archived; empty for nowhere. */}}
{{- define "fairlead.archive" -}}
{{- .Values.archive.url | default (ternary "file:///archive" "" (ne .Values.archive.volumeClaim "")) }}
{{- end }}

{{/* Never changes during the life of a release: a Deployment's selector cannot. */}}
{{- define "fairlead.selectorLabels" -}}
app.kubernetes.io/name: {{ include "fairlead.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end }}

{{- define "fairlead.labels" -}}
{{ include "fairlead.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: fairlead
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with omit .Values.commonLabels "app.kubernetes.io/name" "app.kubernetes.io/instance" "app.kubernetes.io/component" "app.kubernetes.io/version" "app.kubernetes.io/part-of" "app.kubernetes.io/managed-by" "helm.sh/chart" }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "fairlead.image" -}}
{{- with .Values.image }}
{{- $name := .repository }}
{{- with default .registry $.Values.global.imageRegistry }}{{ $name = printf "%s/%s" . $name }}{{ end }}
{{- if .digest }}
{{- printf "%s@%s" $name .digest }}
{{- else }}
{{- printf "%s:%s" $name (default $.Chart.AppVersion .tag) }}
{{- end }}
{{- end }}
{{- end }}
