{{- /* The environment of the server: what the chart decides, then settings by their names. */ -}}
{{- define "isthmus.env" -}}
- name: PYTHONSAFEPATH
  value: "1"
# The root file system cannot be written.
- name: HOME
  value: /tmp
- name: USER
  value: isthmus
- name: ISTHMUS_HOST
  value: {{ .Values.host | quote }}
- name: ISTHMUS_PORT
  value: "8080"
# The image has its own say where these are not said; an empty one counts as not set.
- name: ISTHMUS_METRICS_PORT
  value: {{ ternary (include "isthmus.text" .Values.metrics.port) "" .Values.metrics.enabled | quote }}
- name: ISTHMUS_KEYS_FILE
  value: {{ ternary "/etc/isthmus/keys" "" (ne (include "isthmus.keysSecret" .) "") | quote }}
- name: ISTHMUS_DEVICE
  value: {{ include "isthmus.device" . | quote }}
- name: ISTHMUS_STATE
  value: /var/lib/isthmus
{{- if .Values.tls.existingSecret }}
- name: ISTHMUS_TLS_CERTIFICATE
  value: /etc/isthmus-tls/tls.crt
- name: ISTHMUS_TLS_KEY
  value: /etc/isthmus-tls/tls.key
{{- end }}
- name: ISTHMUS_BUNDLES
  value: {{ join "," .Values.bundles.serve | quote }}
{{- with .Values.bundles.classifiers }}
- name: ISTHMUS_CLASSIFIERS
  value: {{ join "," . | quote }}
{{- end }}
{{- with .Values.bundles.auxiliaryClassifiers }}
- name: ISTHMUS_AUXILIARY_CLASSIFIERS
  value: {{ join "," . | quote }}
{{- end }}
{{- if .Values.auditFolders }}
- name: ISTHMUS_AUDIT_FOLDERS
  value: {{ range $index, $folder := .Values.auditFolders }}{{ if $index }},{{ end }}/srv/audits/{{ $folder.name }}{{ end }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{- if not (kindIs "invalid" $value) }}
- name: ISTHMUS_{{ snakecase $name | upper }}
  value: {{ include "isthmus.text" $value | quote }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
