{{- /* What JSON Schema cannot say: one value against another. */ -}}
{{- define "isthmus.checks" -}}
{{- $v := .Values -}}
{{- if and $v.autoscaling.enabled (gt (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- fail (printf "autoscaling.minReplicas (%d) is more than autoscaling.maxReplicas (%d); give a maximum that is no less" (int $v.autoscaling.minReplicas) (int $v.autoscaling.maxReplicas)) -}}
{{- end -}}
{{- $places := int (default 512 $v.settings.queueImages) -}}
{{- if and $v.autoscaling.enabled (ge (int $v.autoscaling.queueImages) $places) -}}
{{- fail (printf "autoscaling.queueImages (%d) is never reached: a pod has places for %d images (settings.queueImages) and refuses more; ask for fewer" (int $v.autoscaling.queueImages) $places) -}}
{{- end -}}
{{- $needed := addf $v.settings.drainSeconds $v.settings.shutdownSeconds 5 -}}
{{- if lt (float64 $v.terminationGracePeriodSeconds) $needed -}}
{{- fail (printf "terminationGracePeriodSeconds (%d) is too short: settings.drainSeconds and settings.shutdownSeconds with five seconds to spare make %v; pods would be killed with requests in hand" (int $v.terminationGracePeriodSeconds) $needed) -}}
{{- end -}}
{{- $least := int (ternary $v.autoscaling.minReplicas $v.replicas $v.autoscaling.enabled) -}}
{{- $kept := $v.podDisruptionBudget.minAvailable -}}
{{- if and $v.podDisruptionBudget.enabled (not (kindIs "string" $kept)) (not (kindIs "invalid" $kept)) -}}
{{- if ge (int $kept) $least -}}
{{- fail (printf "podDisruptionBudget.minAvailable (%d) keeps every one of %d pods: no node could ever be drained; ask for fewer, set maxUnavailable, or run more pods" (int $kept) $least) -}}
{{- end -}}
{{- end -}}
{{- if and $v.podDisruptionBudget.enabled (kindIs "string" $kept) -}}
{{- if ge (ceil (divf (mulf (trimSuffix "%" $kept | float64) $least) 100)) (float64 $least) -}}
{{- fail (printf "podDisruptionBudget.minAvailable (%s) keeps every one of %d pods, since shares are rounded up: no node could ever be drained; ask for fewer, set maxUnavailable, or run more pods" $kept $least) -}}
{{- end -}}
{{- end -}}
{{- if and $v.prometheusRule.enabled (not (contains "isthmus" (include "isthmus.fullname" .))) -}}
{{- fail (printf "the alerts ask for a job that has isthmus in its name, and this one would be %s; choose names with it, or switch prometheusRule.enabled off" (include "isthmus.fullname" .)) -}}
{{- end -}}
{{- if and $v.metrics.enabled (eq $v.service.type "ClusterIP") (eq (int $v.service.port) (int $v.metrics.port)) -}}
{{- fail (printf "service.port and metrics.port are both %d; give them two" (int $v.service.port)) -}}
{{- end -}}
{{- $longest := float64 (default 60 $v.settings.longestRequestSeconds) -}}
{{- if gt (float64 (default 10 $v.settings.requestSeconds)) $longest -}}
{{- fail (printf "settings.requestSeconds (%v) is more than settings.longestRequestSeconds (%v), the most that a request may ask" $v.settings.requestSeconds $longest) -}}
{{- end -}}
{{- end -}}
