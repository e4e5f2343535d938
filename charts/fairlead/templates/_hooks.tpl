{{/*
A pod that Helm runs by itself, with the operator's image, and what it needs: (dict "root" $ "suffix" … "hook" … "rules" …
"namespaces" … "args" …). Its rights hold in each of the namespaces, or everywhere where there are none, and go with it;
"ownRules" are for the release's own namespace.
*/}}
{{- define "fairlead.hook" -}}
{{- $root := .root }}
{{- $name := printf "%s-%s" (include "fairlead.fullname" $root | trunc 50 | trimSuffix "-") .suffix }}
{{- $namespace := include "fairlead.namespace" $root }}
{{- $clusterName := printf "%s:%s" $namespace $name }}
{{- $hook := .hook }}
{{- $rules := .rules }}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $name | quote }}
  namespace: {{ $namespace | quote }}
  {{- include "fairlead.hookMetadata" (dict "root" $root "hook" $hook "weight" "-10") | nindent 2 }}
automountServiceAccountToken: false
{{- range $where := default (list "") .namespaces }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ ternary "Role" "ClusterRole" (ne $where "") }}
metadata:
  name: {{ $clusterName | quote }}
  {{- with $where }}
  namespace: {{ . | quote }}
  {{- end }}
  {{- include "fairlead.hookMetadata" (dict "root" $root "hook" $hook "weight" "-10") | nindent 2 }}
rules:
  {{- toYaml $rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ ternary "RoleBinding" "ClusterRoleBinding" (ne $where "") }}
metadata:
  name: {{ $clusterName | quote }}
  {{- with $where }}
  namespace: {{ . | quote }}
  {{- end }}
  {{- include "fairlead.hookMetadata" (dict "root" $root "hook" $hook "weight" "-9") | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ ternary "Role" "ClusterRole" (ne $where "") }}
  name: {{ $clusterName | quote }}
subjects:
  - kind: ServiceAccount
    name: {{ $name | quote }}
    namespace: {{ $namespace | quote }}
{{- end }}
{{- with .ownRules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $name | quote }}
  namespace: {{ $namespace | quote }}
  {{- include "fairlead.hookMetadata" (dict "root" $root "hook" $hook "weight" "-10") | nindent 2 }}
rules:
  {{- toYaml . | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $name | quote }}
  namespace: {{ $namespace | quote }}
  {{- include "fairlead.hookMetadata" (dict "root" $root "hook" $hook "weight" "-9") | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $name | quote }}
subjects:
  - kind: ServiceAccount
    name: {{ $name | quote }}
    namespace: {{ $namespace | quote }}
{{- end }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ $name | quote }}
  namespace: {{ $namespace | quote }}
  {{- include "fairlead.hookMetadata" (dict "root" $root "hook" $hook "weight" "0") | nindent 2 }}
spec:
  backoffLimit: {{ .backoffLimit }}
  activeDeadlineSeconds: 300
  template:
    metadata:
      labels:
        {{- include "fairlead.hookLabels" $root | nindent 8 }}
    spec:
      restartPolicy: Never
      serviceAccountName: {{ $name | quote }}
      automountServiceAccountToken: true
      enableServiceLinks: false
      {{- with $root.Values.imagePullSecrets }}
      imagePullSecrets:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        runAsNonRoot: true
        runAsUser: 65532
        runAsGroup: 65532
        seccompProfile:
          type: RuntimeDefault
      containers:
        - name: main
          image: {{ include "fairlead.image" $root }}
          imagePullPolicy: {{ $root.Values.image.pullPolicy }}
          {{- with .command }}
          command:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          args:
            {{- toYaml .args | nindent 12 }}
          {{- with .env }}
          env:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          resources:
            requests:
              cpu: 50m
              memory: 64Mi
            limits:
              memory: 256Mi
          securityContext:
            allowPrivilegeEscalation: false
            readOnlyRootFilesystem: true
            runAsNonRoot: true
            capabilities:
              drop: [ALL]
            seccompProfile:
              type: RuntimeDefault
      {{- with $root.Values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}

{{/* The operator's labels but for the component: its Deployment and Services must not find this pod. */}}
{{- define "fairlead.hookLabels" -}}
{{- mergeOverwrite (include "fairlead.labels" . | fromYaml) (dict "app.kubernetes.io/component" "hook") | toYaml }}
{{- end }}

{{- define "fairlead.hookMetadata" -}}
labels:
  {{- include "fairlead.hookLabels" .root | nindent 2 }}
annotations:
  helm.sh/hook: {{ .hook }}
  helm.sh/hook-weight: {{ .weight | quote }}
  helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end }}
