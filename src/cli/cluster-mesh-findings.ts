/** The bundle by which apps know their sidecars. */
import { X509Certificate } from 'node:crypto';
import { INJECT_LABEL, MESH_CA } from '../api/names.ts';
import type { Violation } from '../api/violation.ts';
import { isRecord } from '../kube/objects.ts';
import type { Labels } from '../policy/inventory.ts';
import type { Raw } from './cluster-view.ts';

const DAY_MS = 86_400_000;
/** Leaves live three days, and a new root is handed out long before it signs. */
const NEAR_MS = 14 * DAY_MS;
const FIX = 'look at the controller, which renews it: kubectl get pods -A -l app.kubernetes.io/name=sallyport';

export function findMeshProblems(
  bundles: readonly Raw[] | undefined,
  namespaces: ReadonlyMap<string, Labels>,
  now: number,
): readonly Violation[] {
  if (bundles === undefined) return [];
  const known = new Set(bundles.map(({ metadata }) => metadata.namespace));
  const optedIn = [...namespaces].filter(([, labels]) => labels[INJECT_LABEL] === 'enabled').map(([name]) => name);
  const missing = optedIn
    .filter(name => !known.has(name))
    .map(name => {
      const problem = 'does not exist, so apps of this namespace cannot tell their sidecars from others';
      return describe(name, '', problem);
    });
  return [...missing, ...bundles.flatMap(bundle => judgeBundle(bundle, now))];
}

const describe = (namespace: string, field: string, problem: string): Violation => ({
  ...{ severity: 'warning', object: `ConfigMap ${namespace}/${MESH_CA}`, field, problem, fix: FIX },
});

/** While roots overlap, the one that ends last counts. */
function judgeBundle({ metadata, data }: Raw, now: number): readonly Violation[] {
  const text = isRecord(data) ? data['ca.crt'] : undefined;
  const namespace = metadata.namespace ?? '';
  const ends = typeof text === 'string' ? readEnds(text) : [];
  if (ends.length === 0) return [describe(namespace, 'data["ca.crt"]', 'holds no certificate that can be read')];
  const last = Math.max(...ends);
  if (last - now > NEAR_MS) return [];
  const day = new Date(last).toISOString().slice(0, 10);
  const verb = last < now ? 'ended' : 'ends';
  return [describe(namespace, 'data["ca.crt"]', `the mesh CA ${verb} on ${day}, and no newer one is there`)];
}

function readEnds(pem: string): readonly number[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    return blocks.map(block => new X509Certificate(block).validToDate.getTime());
  } catch {
    return [];
  }
}
