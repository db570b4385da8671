/** Namespaces and pods that were read: who has opted in, and whose pods are watched. */
import { INJECT_LABEL } from '../api/names.ts';
import type { KubeObject } from '../kube/objects.ts';
import type { Labels } from '../policy/inventory.ts';
import type { PodFacts } from './pods.ts';

export interface Population {
  /** Answers the namespaces that came, went or changed their labels. */
  takeNamespaces(listed: ReadonlyMap<string, KubeObject>): ReadonlySet<string>;
  /** Of one namespace, all of them. */
  takePods(namespace: string, listed: Iterable<PodFacts>): void;
  /** A pod of which a token told before the watch did. Answers whether it was unknown. */
  admit(pod: PodFacts): boolean;
  /** Pods with the label, wherever they are. Answers the namespaces that have such pods now or no longer. */
  takeLabelled(listed: Iterable<PodFacts>): ReadonlySet<string>;
  labelsOf(namespace: string): Labels;
  /** Of all namespaces. */
  names(): readonly string[];
  /** Live ones. */
  podsOf(namespace: string): readonly PodFacts[];
  findPod(namespace: string, uid: string): PodFacts | undefined;
  /** Wherever it is. */
  findByUid(uid: string): PodFacts | undefined;
  /** Labelled: every pod should have a sidecar. */
  labelled(): ReadonlySet<string>;
  /** Sidecars run there or shall run: labelled, or with a pod that is labelled or carries one. */
  optedIn(): ReadonlySet<string>;
}

export interface PopulationOptions {
  /** Never injected, never granted anything. */
  readonly excluded: ReadonlySet<string>;
  readonly clock: () => number;
}

/** The watch tells of a pod within this, or it is gone. */
const ADMITTED_MS = 60_000;

export function createPopulation({ excluded, clock }: PopulationOptions): Population {
  const namespaces = new Map<string, Labels>();
  const pods = new Map<string, ReadonlyMap<string, PodFacts>>();
  const admitted = new Map<string, { readonly pod: PodFacts; readonly at: number }>();
  let withLabelledPods: ReadonlySet<string> = new Set();

  const labelled = (): ReadonlySet<string> =>
    new Set(
      [...namespaces]
        .filter(([name, labels]) => labels[INJECT_LABEL] === 'enabled' && !excluded.has(name))
        .map(([name]) => name),
    );

  return {
    takeNamespaces(listed) {
      const touched = new Set<string>();
      for (const name of namespaces.keys()) if (!listed.has(name) && namespaces.delete(name)) touched.add(name);
      for (const [name, { metadata }] of listed) {
        const labels = metadata.labels ?? {};
        if (JSON.stringify(namespaces.get(name)) === JSON.stringify(labels)) continue;
        namespaces.set(name, labels);
        touched.add(name);
      }
      return touched;
    },
    takePods(namespace, listed) {
      const now = new Map([...listed].map(pod => [pod.uid, pod]));
      for (const [uid, { pod, at }] of admitted) {
        if (now.has(uid) || (pod.namespace === namespace && clock() - at > ADMITTED_MS)) admitted.delete(uid);
      }
      if (now.size === 0) pods.delete(namespace);
      else pods.set(namespace, now);
    },
    admit(pod) {
      if (pods.get(pod.namespace)?.has(pod.uid) === true) return false;
      admitted.set(pod.uid, { pod, at: clock() });
      return true;
    },
    takeLabelled(listed) {
      const before = withLabelledPods;
      withLabelledPods = new Set([...listed].filter(({ live }) => live).map(({ namespace }) => namespace));
      const all = new Set([...before, ...withLabelledPods]);
      return new Set([...all].filter(name => before.has(name) !== withLabelledPods.has(name)));
    },
    names: () => [...namespaces.keys()],
    labelsOf: namespace => namespaces.get(namespace) ?? {},
    podsOf(namespace) {
      const early = [...admitted.values()].map(({ pod }) => pod).filter(pod => pod.namespace === namespace);
      return [...(pods.get(namespace)?.values() ?? []), ...early].filter(({ live }) => live);
    },
    findPod: (namespace, uid) => pods.get(namespace)?.get(uid) ?? admitted.get(uid)?.pod,
    findByUid(uid) {
      for (const own of pods.values()) {
        const pod = own.get(uid);
        if (pod !== undefined) return pod;
      }
      return admitted.get(uid)?.pod;
    },
    labelled,
    optedIn() {
      const injected = [...pods].filter(([, own]) => [...own.values()].some(isInjected)).map(([name]) => name);
      const early = [...admitted.values()].map(({ pod }) => pod.namespace);
      const all = [...labelled(), ...withLabelledPods, ...injected, ...early];
      return new Set(all.filter(name => namespaces.has(name) && !excluded.has(name)));
    },
  };
}

const isInjected = ({ live, sidecar }: PodFacts): boolean => live && sidecar.state !== 'None';
