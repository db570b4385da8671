/** An Api that lets everybody in. */
import type { Manifest } from '../../support/manifests.ts';

export function openApi(
  namespace: string,
  name: string,
  port: number,
  more: Readonly<Record<string, unknown>> = {},
): Manifest {
  const object = (kind: string, spec: unknown): Manifest => ({
    ...{ apiVersion: 'sallyport.dev/v1alpha1', kind, metadata: { name, namespace }, spec },
  });
  const api = object('Api', { podSelector: { matchLabels: { app: name } }, port, ...more });
  const policy = object('AuthPolicy', {
    targetRefs: [{ kind: 'Api', name }],
    request: [{ name: 'open', anyOf: [{ anonymous: {} }] }],
  });
  return { apiVersion: 'v1', kind: 'List', items: [api, policy] };
}
