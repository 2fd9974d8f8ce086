{{- define "isthmus.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
- name: state
  mountPath: /var/lib/isthmus
{{- if include "isthmus.keysSecret" . }}
# The folder, not the file in it: only so does an exchanged Secret show.
- name: keys
  mountPath: /etc/isthmus
  readOnly: true
{{- end }}
{{- if .Values.tls.existingSecret }}
- name: tls
  mountPath: /etc/isthmus-tls
  readOnly: true
{{- end }}
{{- if .Values.bundles.existingClaim }}
- name: bundles
  mountPath: /bundles
  readOnly: true
{{- end }}
{{- if .Values.bundles.specs }}
- name: specs
  mountPath: /etc/isthmus-specs
  readOnly: true
{{- end }}
{{- range .Values.auditFolders }}
- name: audit-{{ .name }}
  mountPath: /srv/audits/{{ .name }}
  readOnly: true
{{- end }}
{{- end -}}

{{- define "isthmus.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ .Values.tmpSize }}
- name: state
{{- if .Values.persistence.enabled }}
  persistentVolumeClaim:
    claimName: {{ include "isthmus.stateClaim" . }}
{{- else }}
  emptyDir:
    sizeLimit: {{ .Values.persistence.emptyDirSize }}
{{- end }}
{{- with include "isthmus.keysSecret" . }}
- name: keys
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      - key: {{ $.Values.keys.secretKey }}
        path: keys
{{- end }}
{{- with .Values.tls.existingSecret }}
- name: tls
  secret:
    secretName: {{ . }}
    defaultMode: 0440
{{- end }}
{{- with .Values.bundles.existingClaim }}
- name: bundles
  persistentVolumeClaim:
    claimName: {{ . }}
    readOnly: true
{{- end }}
{{- if .Values.bundles.specs }}
- name: specs
  configMap:
    name: {{ include "isthmus.fullname" . }}-specs
{{- end }}
{{- range .Values.auditFolders }}
- name: audit-{{ .name }}
  persistentVolumeClaim:
    claimName: {{ .existingClaim }}
    readOnly: true
{{- end }}
{{- end -}}
