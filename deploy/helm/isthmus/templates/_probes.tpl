{{- /* How a health route is asked: by the kubelet, or in the container where only that reaches the server. */ -}}
{{- define "isthmus.health" -}}
{{- if include "isthmus.isLoopback" .root -}}
exec:
  command:
    - /opt/isthmus/bin/python
    - -Ic
    - {{ printf "import urllib.request; urllib.request.urlopen('http://localhost:8080%s', timeout=%d)" .path (int .root.Values.probes.timeoutSeconds) | quote }}
{{- else -}}
httpGet:
  path: {{ .path }}
  port: http
  scheme: {{ include "isthmus.scheme" .root }}
{{- end }}
periodSeconds: {{ int .root.Values.probes.periodSeconds }}
timeoutSeconds: {{ int .root.Values.probes.timeoutSeconds }}
{{- end -}}

{{- define "isthmus.probes" -}}
{{- $v := .Values.probes -}}
startupProbe:
  {{- include "isthmus.health" (dict "root" . "path" "/v2/health/ready") | nindent 2 }}
  failureThreshold: {{ divf $v.startupSeconds $v.periodSeconds | ceil | int }}
livenessProbe:
  {{- include "isthmus.health" (dict "root" . "path" "/v2/health/live") | nindent 2 }}
  failureThreshold: {{ int $v.livenessFailures }}
readinessProbe:
  {{- include "isthmus.health" (dict "root" . "path" "/v2/health/ready") | nindent 2 }}
  failureThreshold: 1
{{- end -}}
