{{/* Labels of every object of this chart. */}}
{{- define "istiod.labels" -}}
app.kubernetes.io/name: istiod
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: istio
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
release: {{ .Release.Name }}
istio.io/rev: {{ include "istiod.revision" . }}
{{- end }}

{{/* The revision's name, as labels say it. */}}
{{- define "istiod.revision" -}}
{{ .Values.revision | default "default" | quote }}
{{- end }}

{{/* The revision, where it is not the default one, which istiod calls `default` too. */}}
{{- define "istiod.named" -}}
{{- if ne .Values.revision "default" }}{{ .Values.revision }}{{ end }}
{{- end }}

{{/* What the revision adds to a name: nothing, or `-canary`. */}}
{{- define "istiod.suffix" -}}
{{- with include "istiod.named" . }}-{{ . }}{{ end }}
{{- end }}

{{/* The name of Deployment, Service, ServiceAccount. */}}
{{- define "istiod.name" -}}
istiod{{ include "istiod.suffix" . }}
{{- end }}

{{/* The name of objects without namespace: revision and namespace make it unique. */}}
{{- define "istiod.clusterSuffix" -}}
{{ include "istiod.suffix" . }}-{{ .Release.Namespace }}
{{- end }}

{{/* The injector's webhook configuration. Other tools look for it, in `istio-system`, under this name. */}}
{{- define "istiod.injector" -}}
istio-sidecar-injector{{ include "istiod.suffix" . }}{{ if ne .Release.Namespace "istio-system" }}-{{ .Release.Namespace }}{{ end }}
{{- end }}

{{/* The validation webhook's configuration. */}}
{{- define "istiod.validator" -}}
istio-validator{{ include "istiod.clusterSuffix" . }}
{{- end }}

{{/* The webhook configuration of a tag. Takes the root and the tag. */}}
{{- define "istiod.tag" -}}
{{- $namespace := (index . 0).Release.Namespace -}}
istio-revision-tag-{{ index . 1 }}{{ if ne $namespace "istio-system" }}-{{ $namespace }}{{ end }}
{{- end }}

{{/* Selects the pods of this revision. The default one has a label of its own, so that it never selects the others. */}}
{{- define "istiod.selector" -}}
app: istiod
{{- with include "istiod.named" . }}
istio.io/rev: {{ . | quote }}
{{- else }}
istio: pilot
{{- end }}
{{- end }}

{{/* istiod's image. */}}
{{- define "istiod.image" -}}
{{- if contains "/" .Values.image -}}
{{ .Values.image }}
{{- else -}}
{{ .Values.hub | default .Values.global.hub }}/{{ .Values.image }}:{{ .Values.tag | default .Values.global.tag }}
{{- end -}}
{{- end }}

{{/* The ports of istiod's Services. */}}
{{- define "istiod.ports" -}}
- name: grpc-xds
  port: 15010
  protocol: TCP
- name: https-dns
  port: 15012
  protocol: TCP
- name: https-webhook
  port: 443
  targetPort: 15017
  protocol: TCP
- name: http-monitoring
  port: 15014
  protocol: TCP
{{- end }}
