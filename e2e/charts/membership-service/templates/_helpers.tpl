{{- define "membership.labels" -}}
app: {{ .Release.Name }}
version: {{ .Values.image.tag | quote }}
app.kubernetes.io/name: membership-service
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "membership.selector" -}}
app: {{ .Release.Name }}
{{- end }}
