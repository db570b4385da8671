/** The chart's webhook configurations and admission policies: the objects of src/injector with the chart's values in place. */
import { stringify } from 'yaml';
import { createAdmissionObjects } from '../src/injector/admission-objects.ts';

const NAMESPACE = 'RELEASE-NAMESPACE';
const EXCLUDED = 'EXCLUDED-NAMESPACES';
const TIMEOUT = 999_999;

const HEAD = `{{/* Written by \`npm run generate\` from src/injector: rules and names are edited there. */}}\n`;
/** Stands where Helm writes its labels. */
const LABELS = 'CHART-LABELS';

export function renderAdmissionTemplates(): string {
  const objects = createAdmissionObjects({
    namespace: NAMESPACE,
    excludedNamespaces: [EXCLUDED],
    timeoutSeconds: TIMEOUT,
    validatingFailurePolicy: 'Fail',
  });
  const documents = objects.map(object => {
    const labelled = { ...object, metadata: { ...(object['metadata'] as object), labels: LABELS } };
    return stringify(labelled, { lineWidth: 0, aliasDuplicateObjects: false });
  });
  return HEAD + documents.map(fillIn).join('---\n');
}

const fillIn = (text: string): string =>
  text
    .replaceAll(LABELS, '{{- include "sallyport.labels" . | nindent 4 }}')
    .replaceAll(`: ${NAMESPACE}`, ': {{ .Release.Namespace }}')
    .replaceAll(`- ${NAMESPACE}`, '- {{ .Release.Namespace }}')
    .replaceAll(String(TIMEOUT), '{{ .Values.injector.timeoutSeconds }}')
    .replace(new RegExp(`^( *)- ${EXCLUDED}$`, 'gm'), (_, indent: string) =>
      ['{{- range $.Values.injector.excludeNamespaces }}', '- {{ . | quote }}', '{{- end }}']
        .map(line => indent + line)
        .join('\n'),
    );
