/** What people and their monitoring are told besides status: Events, and numbers. */
import { API_VERSION } from '../api/object.ts';
import type { Metrics } from '../telemetry/telemetry.ts';
import { allowancesOf } from './allowance-keeper.ts';
import type { Events } from './events.ts';
import { describeLeftOpen, findLeftOpen, nameAnnotations, type LeftOpen } from './left-open.ts';
import type { MeshCa } from './mesh-ca.ts';
import type { Model } from './model.ts';
import { readCertificate, type NamedData } from './named-data.ts';
import type { WantedStatus } from './namespace-status.ts';
import type { KnownObject } from './objects.ts';
import type { PodStates } from './pod-states.ts';
import type { PodFacts } from './pods.ts';

export interface Reporter {
  /** An object was judged; a change for the worse is an Event. */
  judged(object: KnownObject, status: WantedStatus): void;
  /** Every namespace that changed was judged: pods are named that have no sidecar, or something that people must know. */
  round(states: PodStates): void;
  /** Time alone has made something wrong: allowances that ended. */
  lookAtAllowances(): void;
  refresh(now: { readonly streams: number; readonly data: NamedData; readonly meshCa: MeshCa | undefined }): void;
}

export interface ReporterOptions {
  readonly model: Model;
  readonly events: Events;
  readonly metrics: Metrics;
  /** Of sidecars that are injected now. */
  readonly image: string;
  /** Milliseconds. */
  readonly clock: () => number;
}

const TOLD = ['Accepted', 'ResolvedRefs'] as const;

export function createReporter({ model, events, metrics, image, clock }: ReporterOptions): Reporter {
  const counted = new Set<string>();

  /** Namespaces that were counted once are counted on, so that their last number is not the last word. */
  function countIn(name: string, pods: (namespace: string) => number, namespaces: Iterable<string>): void {
    for (const namespace of new Set([...namespaces, ...counted])) {
      counted.add(namespace);
      // `namespace` would be overwritten by that of the pod that is scraped.
      metrics.gauge(name, pods(namespace), { pod_namespace: namespace });
    }
  }

  /** Of pods that are there: what was said of one that has gone counts no longer. */
  function tellClosedPorts(states: PodStates): void {
    for (const namespace of model.population.optedIn()) {
      for (const pod of model.population.podsOf(namespace)) {
        for (const port of states.get(pod.uid)?.closedPorts ?? []) {
          events.tell(
            { apiVersion: 'v1', kind: 'Pod', ...pick(pod) },
            'Warning',
            'NoApi',
            `connections to port ${port} are reset: no Api selects this pod at that port; write one, or let a ClusterAuthPolicy open it by an allowance`,
          );
        }
      }
    }
  }

  function forEachLeftOpen(act: (pod: PodFacts, left: LeftOpen) => void): void {
    for (const namespace of model.population.optedIn()) {
      const pods = model.population.podsOf(namespace).filter(({ open }) => open !== undefined);
      const allowances = pods.length === 0 ? [] : allowancesOf(model, namespace);
      for (const pod of pods) {
        const left = findLeftOpen(pod, allowances, clock());
        if (left !== undefined) act(pod, left);
      }
    }
  }

  return {
    judged(object, { findings }) {
      for (const type of TOLD) {
        const finding = findings.find(one => one.type === type);
        if (finding === undefined || finding.holds) continue;
        const stored = object.conditions.find(one => one.type === type);
        if (stored?.status === 'False' && stored.message === finding.message) continue;
        events.tell(subjectOf(object), 'Warning', finding.reason, finding.message);
      }
    },
    round(states) {
      tellClosedPorts(states);
      for (const namespace of model.population.labelled()) {
        for (const pod of model.population.podsOf(namespace).filter(isUnprotected)) {
          events.tell(
            { apiVersion: 'v1', kind: 'Pod', ...pick(pod) },
            'Warning',
            'NoSidecar',
            describeUnprotected(pod),
          );
        }
      }
    },
    lookAtAllowances() {
      forEachLeftOpen((pod, left) =>
        events.tell(
          { apiVersion: 'v1', kind: 'Pod', ...pick(pod) },
          'Warning',
          'AllowanceEnded',
          `${describeLeftOpen(left)}: the rules of a pod are written when it starts; make it anew without the annotation ${nameAnnotations(left)}`,
        ),
      );
    },
    refresh({ streams, data, meshCa }) {
      const optedIn = model.population.optedIn();
      const count = (test: (pod: PodFacts) => boolean) => (namespace: string) =>
        optedIn.has(namespace) ? model.population.podsOf(namespace).filter(test).length : 0;
      metrics.gauge('sallyport_controller_streams', streams);
      countIn('sallyport_controller_unprotected_pods', count(isUnprotected), optedIn);
      countIn(
        'sallyport_controller_outdated_sidecars',
        count(pod => isOutdated(pod, image)),
        optedIn,
      );
      const leftOpen = new Map<string, number>();
      forEachLeftOpen(({ namespace }) => leftOpen.set(namespace, (leftOpen.get(namespace) ?? 0) + 1));
      countIn('sallyport_controller_left_open_pods', namespace => leftOpen.get(namespace) ?? 0, optedIn);
      countObjects(model.objects.all(), metrics);
      showExpiries(model.objects.all(), data, metrics);
      const mesh = meshCa === undefined ? undefined : meshCa.signing.notAfter;
      if (mesh !== undefined) {
        metrics.gauge('sallyport_certificate_expiry_timestamp_seconds', mesh / 1000, { use: 'mesh CA' });
      }
    },
  };
}

const isUnprotected = ({ sidecar }: PodFacts): boolean => sidecar.state !== 'Protected';

/** A digest that the registry added is no other version. */
const isOutdated = (pod: PodFacts, image: string): boolean =>
  pod.sidecar.state === 'Protected' && pod.image !== image && !pod.image.startsWith(`${image}@`);

function describeUnprotected({ sidecar, hostNetwork }: PodFacts): string {
  if (sidecar.state === 'Altered') return `its sidecar is not as it was injected: ${sidecar.problem}`;
  const fix = hostNetwork
    ? 'it uses the network of its node, where no sidecar can stand in front of it'
    : 'make it anew, so that it gets one';
  return `runs in a namespace labelled for Sallyport without its sidecar, so nothing protects it; ${fix}`;
}

const pick = ({ namespace, name, uid }: PodFacts) => ({ namespace, name, uid });

const subjectOf = ({ kind, namespace, metadata, uid }: KnownObject) => ({
  apiVersion: API_VERSION,
  kind,
  namespace,
  name: metadata.name,
  uid,
});

function countObjects(objects: Iterable<KnownObject>, metrics: Metrics): void {
  let [unresolved, unaccepted] = [0, 0];
  for (const { conditions } of objects) {
    const isFalse = (type: string): boolean => conditions.some(one => one.type === type && one.status === 'False');
    if (isFalse('ResolvedRefs')) unresolved += 1;
    if (isFalse('Accepted')) unaccepted += 1;
  }
  metrics.gauge('sallyport_controller_unresolved_references', unresolved);
  metrics.gauge('sallyport_controller_unaccepted_objects', unaccepted);
}

/** Certificates in Secrets that objects name. */
function showExpiries(objects: Iterable<KnownObject>, data: NamedData, metrics: Metrics): void {
  for (const { parsed, namespace, kind, key } of objects) {
    const name =
      parsed?.kind === 'Api'
        ? parsed.spec.tls?.certificate.secretName
        : parsed?.kind === 'BackendCredential'
          ? parsed.spec.meshCertificate?.secretName
          : undefined;
    const text = name === undefined ? undefined : data.find('Secret', `${namespace}/${name}`)?.data.get('tls.crt');
    const certificate = text === undefined ? undefined : readCertificate(Buffer.from(text, 'base64'));
    if (certificate === undefined) continue;
    const use = `${kind} ${key}`;
    metrics.gauge('sallyport_certificate_expiry_timestamp_seconds', certificate.notAfter / 1000, { use });
  }
}
