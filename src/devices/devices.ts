/**
 * devices: floor 2. Device-auth calls over outbound/, their cache and breaker, the revocation list. May import api/, http/,
 * policy/, decision/, telemetry/, material/, outbound/ and credentials/.
 *
 * The evaluator judges the answer (P3); here it is asked for, bounded and remembered. What gives no deciding answer is
 * undecided (503), never a yes.
 */
import type { ObjectKey } from '../api/object.ts';
import { objectKey } from '../api/object.ts';
import type { KeyRef, ServerTrust } from '../api/kinds/shared.ts';
import type { CredentialView } from '../credentials/credentials.ts';
import type { DeviceEvidence, DeviceRequest, RevocationEvidence, RevocationRequest } from '../decision/evidence.ts';
import type { Material } from '../material/material.ts';
import { hostOfUrl } from '../policy/allowed-hosts.ts';
import type { DeviceServicePlan } from '../policy/model.ts';
import { parseRevocationList, type RevocationList } from './revocation-list.ts';
import {
  createService,
  UNAVAILABLE,
  type Reach,
  type Service,
  type ServiceOptions,
  type ServiceState,
} from './service.ts';
import { credentialKey } from './service-request.ts';

export type DevicesOptions = ServiceOptions;

export interface DeviceServiceStatus extends ServiceState {
  readonly key: ObjectKey;
  /** Thumbprints on the revocation list; undefined: it is missing or holds a bad line, so look-ups are 503. */
  readonly revoked: number | undefined;
}

export interface DeviceView {
  /** Judged before anything is asked, cached or not. */
  revocation(request: RevocationRequest): RevocationEvidence;
  /** At once when the answer is in the cache; else when the service has answered. */
  device(request: DeviceRequest, now: number): DeviceEvidence | Promise<DeviceEvidence>;
  /** For `sallyport status`. */
  status(): readonly DeviceServiceStatus[];
}

/** What is asked of the credentials of the same snapshot. */
export type DeviceCredentials = Pick<CredentialView, 'clientCertificate' | 'present'>;

export interface Devices {
  /** The view of one snapshot. A service of the same generation and spec keeps its cache and its breaker. */
  prepare(
    services: ReadonlyMap<ObjectKey, DeviceServicePlan>,
    material: Material,
    credentials: DeviceCredentials,
  ): DeviceView;
}

interface Prepared {
  readonly service: Service;
  readonly reach: Reach;
  readonly revoked: RevocationList | undefined;
}

const CLEAR = { state: 'clear' } as const;
const REVOKED = { state: 'refused', reason: 'DeviceRevoked' } as const;

export function createDevices(options: DevicesOptions): Devices {
  let services = new Map<ObjectKey, Service>();
  return {
    prepare(plans, material, credentials) {
      const next = new Map<ObjectKey, Service>();
      const prepared = new Map<ObjectKey, Prepared>();
      for (const [key, plan] of plans) {
        const old = services.get(key);
        const service = old !== undefined && isSame(old.plan, plan) ? old : createService(options, plan);
        next.set(key, service);
        const reach = findReach(options, plan, material, credentials);
        prepared.set(key, { service, reach, revoked: findRevoked(options, plan, material) });
      }
      services = next;
      return createView(prepared, options.clock);
    },
  };
}

const isSame = (a: DeviceServicePlan, b: DeviceServicePlan): boolean =>
  a.generation === b.generation && JSON.stringify(a.spec) === JSON.stringify(b.spec);

function createView(prepared: ReadonlyMap<ObjectKey, Prepared>, clock: () => number): DeviceView {
  return {
    revocation({ step, certificate }) {
      const revoked = prepared.get(step.service)?.revoked;
      if (revoked === undefined) return UNAVAILABLE;
      const { thumbprints, badLines } = revoked;
      if (thumbprints.has(certificate.sha1) || thumbprints.has(certificate.sha256)) return REVOKED;
      // A bad line was meant to cut somebody off, and it may be this device.
      return badLines.length > 0 ? UNAVAILABLE : CLEAR;
    },
    device(request, now) {
      const found = prepared.get(request.step.service);
      return found === undefined ? UNAVAILABLE : found.service.look(request, found.reach, now);
    },
    status: () =>
      [...prepared].map(([key, { service, revoked }]) => ({
        key,
        ...service.state(clock()),
        revoked: revoked?.badLines.length === 0 ? revoked.thumbprints.size : undefined,
      })),
  };
}

function findReach(
  { log }: DevicesOptions,
  plan: DeviceServicePlan,
  material: Material,
  credentials: DeviceCredentials,
): Reach {
  const trust = findTrust(plan, material, plan.spec.tls?.trust);
  const host = hostOfUrl(plan.spec.url);
  const credential = credentialKey(plan, plan.spec.tls?.credential);
  const header = credentialKey(plan, plan.spec.credential);
  const clientCertificate = credential === undefined ? undefined : credentials.clientCertificate(credential, host);
  if (trust === undefined || (credential !== undefined && clientCertificate === undefined)) {
    log.warn(
      { service: plan.key, missing: trust === undefined ? 'trust' : 'credential' },
      'device-auth cannot be reached',
    );
    return undefined;
  }
  const serverName = plan.spec.tls?.serverName;
  return {
    trust,
    ...(header === undefined ? {} : { present: (now: number) => credentials.present(header, host, { now }) }),
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
    ...(serverName === undefined ? {} : { serverName }),
  };
}

/** Without a trust the system's roots are trusted; one that is named but missing is never replaced by them. */
function findTrust(
  plan: DeviceServicePlan,
  material: Material,
  trust: ServerTrust | undefined,
): { ca: string } | 'systemRoots' | undefined {
  if (trust === undefined || trust.systemRoots === true) return 'systemRoots';
  const text = findText(plan, material, trust);
  return text === undefined ? undefined : { ca: text };
}

const NOBODY: RevocationList = { thumbprints: new Set(), badLines: [] };

function findRevoked({ log }: DevicesOptions, plan: DeviceServicePlan, material: Material): RevocationList | undefined {
  if (plan.spec.revoke === undefined) return NOBODY;
  const text = findText(plan, material, plan.spec.revoke);
  if (text === undefined) {
    log.warn({ service: plan.key }, 'the revocation list is missing: every device look-up is refused with 503');
    return undefined;
  }
  const list = parseRevocationList(text);
  if (list.badLines.length > 0) {
    const lines = list.badLines.slice(0, 20);
    log.error({ service: plan.key, lines }, 'lines of the revocation list are no thumbprint: look-ups are 503');
  }
  return list;
}

interface Reference {
  readonly secretKeyRef?: KeyRef | undefined;
  readonly configMapKeyRef?: KeyRef | undefined;
}

function findText(plan: DeviceServicePlan, material: Material, reference: Reference): string | undefined {
  const { secretKeyRef, configMapKeyRef } = reference;
  const keyRef = secretKeyRef ?? configMapKeyRef;
  if (keyRef === undefined) return undefined;
  const key = objectKey(keyRef.namespace ?? plan.namespace, keyRef.name);
  const data = secretKeyRef === undefined ? material.configMap(key) : material.secret(key);
  const bytes = data?.get(keyRef.key);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8');
}
