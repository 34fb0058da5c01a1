{{/*
One entry of a webhook configuration of injection. Takes the root, the name's first part, and the expressions by which
namespace and pod are selected.
*/}}
{{- define "injection.entry" -}}
- name: {{ .prefix }}sidecar-injector.istio.io
  clientConfig:
    service:
      name: {{ include "istiod.name" .root }}
      namespace: {{ .root.Release.Namespace }}
      path: /inject
      port: 443
  rules:
    - operations: [CREATE]
      apiGroups: [""]
      apiVersions: [v1]
      resources: [pods]
  namespaceSelector:
    matchExpressions:
      {{- toYaml .namespace | nindent 6 }}
  objectSelector:
    matchExpressions:
      {{- toYaml .pod | nindent 6 }}
  failurePolicy: Fail
  reinvocationPolicy: {{ .root.Values.sidecarInjectorWebhook.reinvocationPolicy }}
  sideEffects: None
  admissionReviewVersions: [v1]
{{- end }}

{{/*
The entries of one revision or tag: namespaces that name it, and pods that name it where the namespace says nothing.
For the default one also `istio-injection: enabled` of namespaces, which counts before any revision, and pods that ask
to be injected without saying by whom. Takes the root, the revision's name, and whether it is the default.
*/}}
{{- define "injection.entries" -}}
{{- $notRefused := list (dict "key" "sidecar.istio.io/inject" "operator" "NotIn" "values" (list "false")) }}
{{- $noInjectionLabel := dict "key" "istio-injection" "operator" "DoesNotExist" }}
{{- $noRevision := dict "key" "istio.io/rev" "operator" "DoesNotExist" }}
{{- $thisRevision := dict "key" "istio.io/rev" "operator" "In" "values" (list .revision) }}
{{- $says := list }}
{{- $says = append $says (dict "prefix" "rev.namespace." "namespace" (list $thisRevision $noInjectionLabel) "pod" $notRefused) }}
{{- $says = append $says (dict "prefix" "rev.object." "namespace" (list $noRevision $noInjectionLabel) "pod" (append $notRefused $thisRevision)) }}
{{- if .default }}
{{- $enabled := dict "key" "istio-injection" "operator" "In" "values" (list "enabled") }}
{{- $asks := dict "key" "sidecar.istio.io/inject" "operator" "In" "values" (list "true") }}
{{- $says = append $says (dict "prefix" "namespace." "namespace" (list $enabled) "pod" $notRefused) }}
{{- $says = append $says (dict "prefix" "object." "namespace" (list $noInjectionLabel $noRevision) "pod" (list $asks $noRevision)) }}
{{- if .root.Values.sidecarInjectorWebhook.enableNamespacesByDefault }}
{{- $saysNothing := dict "key" "sidecar.istio.io/inject" "operator" "DoesNotExist" }}
{{- $system := list "kube-system" "kube-public" "kube-node-lease" "local-path-storage" }}
{{- $user := dict "key" "kubernetes.io/metadata.name" "operator" "NotIn" "values" $system }}
{{- $says = append $says (dict "prefix" "auto." "namespace" (list $noInjectionLabel $noRevision $user) "pod" (list $saysNothing $noRevision)) }}
{{- end }}
{{- end }}
{{- range $says }}
{{ include "injection.entry" (merge (dict "root" $.root) .) }}
{{- end }}
{{- end }}
