/** An Api that is invalid and has no last good generation: as much of it as is needed to answer 503 in its place (S6). */
import { normalizeHost, type ApiDraft, type ApiObject } from './apis.ts';
import { parsePathTemplate } from './path-template.ts';

/** Empty when its port is unknown: nothing listens there, so connections are refused. */
export function shadowApi(object: ApiObject, ports: Readonly<Record<string, number>>): readonly ApiDraft[] {
  const { spec } = object;
  const port =
    typeof spec.port === 'number' ? spec.port : Object.hasOwn(ports, spec.port) ? ports[spec.port] : undefined;
  if (port === undefined) return [];
  const basePath = (spec.basePath ?? '').replace(/\/$/, '');
  const parsed = parsePathTemplate(basePath, '/');
  const base = 'problem' in parsed ? { segments: [], wildcard: false, parameters: [], trailingSlash: false } : parsed;
  const operations = (spec.operations ?? []).flatMap(({ name, path, methods }) => {
    const template = parsePathTemplate(basePath, path);
    return 'problem' in template ? [] : [{ name, path, template, ...(methods === undefined ? {} : { methods }) }];
  });
  return [
    {
      object,
      port,
      hosts: (spec.hosts ?? []).map(normalizeHost),
      basePath: 'problem' in parsed ? '' : basePath,
      base,
      operations,
      servesRest: true,
      trustedPeers: [],
    },
  ];
}
