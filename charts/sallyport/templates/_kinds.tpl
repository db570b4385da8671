{{/* Written by `npm run generate` from src/api. */}}
{{- define "sallyport.kinds" -}}[clusterauthpolicies, authpolicies, apis, tokenissuers, clienttrusts, deviceauthservices, backendcredentials, subscriptions, policytests]{{- end -}}
