{{/* What the operator asks for in a namespace that it serves, and no more: no Secrets, no listing of ConfigMaps. */}}
{{- define "fairlead.rules" -}}
# create, patch: sub-workflows, which are suspended with their parent; stop, retry: so are they, with it, by requests.
# delete: ttlSecondsAfterFinished and history limits
- apiGroups: [fairlead.dev]
  resources: [workflows]
  verbs: [get, list, watch, create, patch, delete, stop, retry]
- apiGroups: [fairlead.dev]
  resources: [workflows/status]
  verbs: [patch]
# For owner references that block deletion, where the admission plug-in OwnerReferencesPermissionEnforcement is on.
- apiGroups: [fairlead.dev]
  resources: [workflows/finalizers]
  verbs: [update]
- apiGroups: [fairlead.dev]
  resources: [workflowtemplates]
  verbs: [get, list, watch]
- apiGroups: [fairlead.dev]
  resources: [workflowtemplates/status]
  verbs: [patch]
# Requests on runs: their conditions, and the owner reference by which they go with their run. Where the admission
# plug-in OwnerReferencesPermissionEnforcement is on, only who may delete an object may give it an owner.
# create: requests on sub-workflows.
- apiGroups: [fairlead.dev]
  resources: [workflowactions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [fairlead.dev]
  resources: [workflowactions/status]
  verbs: [patch]
# The status of large runs.
- apiGroups: [fairlead.dev]
  resources: [taskstatusshards]
  verbs: [get, list, create, patch]
# The definition that a run began with, where it came from a template. They are immutable and owned by the run.
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [get, create]
# The attempts of tasks. patch: the finalizer that holds a finished one until its outcome is recorded.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, create, patch, delete]
# What a task printed, where an output comes `from: Stdout`, and the logs that are kept (archive.keepLogs).
- apiGroups: [""]
  resources: [pods/log]
  verbs: [get]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
# Scripts and files. They are immutable and named by their content. get: whether one that is there already is the run's
# own, with that very content; else whoever may create ConfigMaps could have code run as the service account of the pods.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, create]
# The workspace of a run. get: whether one that is there already is the run's own.
- apiGroups: [""]
  resources: [persistentvolumeclaims]
  verbs: [get, create]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- if .Values.rbac.impersonateServiceAccounts }}
# `resource` tasks, waits for an object, and the reading of Secrets for headers of `http` tasks act as the service account
# of the run: they can do what it may, no more. Groups need not be impersonated: the API server adds the account's own.
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [impersonate]
{{- end }}
{{- end }}

{{/* What it asks for that is in no namespace. */}}
{{- define "fairlead.clusterRules" -}}
# Whether the API server checks who makes them.
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingadmissionpolicies, validatingadmissionpolicybindings]
  resourceNames: [fairlead-requested-by]
  verbs: [get]
{{- if and .Values.webhook.enabled (eq (include "fairlead.webhookCertificate" .) "operators") }}
# To tell the API server whom to believe that asks the webhook.
- apiGroups: [admissionregistration.k8s.io]
  resources: [validatingwebhookconfigurations]
  resourceNames: [{{ include "fairlead.webhookConfiguration" . | quote }}]
  verbs: [get, patch]
{{- end }}
{{- end }}
