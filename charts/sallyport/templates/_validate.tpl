{{- define "sallyport.validate" -}}
{{- if and (eq .Values.webhook.certificate.mode "secret") (not .Values.webhook.certificate.secretName) -}}
{{- fail "webhook.certificate.mode is secret: name the Secret in webhook.certificate.secretName" -}}
{{- end -}}
{{- if and .Values.podDisruptionBudget.enabled (ge (int .Values.podDisruptionBudget.minAvailable) (int .Values.controller.replicas)) (gt (int .Values.controller.replicas) 1) -}}
{{- fail "podDisruptionBudget.minAvailable must be below controller.replicas: nodes could never be drained" -}}
{{- end -}}
{{- if eq .Release.Namespace "kube-system" -}}
{{- fail "install into a namespace of its own, such as sallyport-system: kube-system is never looked at by the webhooks" -}}
{{- end -}}
{{- end -}}
