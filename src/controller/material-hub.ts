/** Keeps every open stream's material current: built once for each class of pods, sent when its hash changes. */
import { encodeLine } from '../material/lines.ts';
import type { MaterialMessage, WorkloadMessage } from '../material/protocol.ts';
import type { PodFacts } from './pods.ts';

/** What the pods of a class get now. */
export interface ClassMaterial {
  /** Undefined: something that is named is not known yet. */
  readonly material: MaterialMessage | undefined;
  readonly readyPods: number;
}

export interface Prepared {
  readonly hash: string;
  readonly line: string;
}

export interface Subscriber {
  material(prepared: Prepared): void;
  workload(line: string): void;
}

export interface MaterialHub {
  /** Tells the subscriber what there is at once, and what changes until the returned function is called. */
  join(pod: PodFacts, subscriber: Subscriber): () => void;
  /** Something that concerns pods of these namespaces changed; undefined: of all. */
  refresh(namespaces?: ReadonlySet<string>): void;
}

interface Member {
  readonly pod: PodFacts;
  readonly subscriber: Subscriber;
  hash: string;
  readyPods: number;
}

export interface MaterialHubOptions {
  /** The same value for pods of one class until something changes. */
  readonly describe: (pod: PodFacts) => ClassMaterial;
  /** A fault of ours with one pod’s material, which must not keep the others from theirs. */
  readonly onFault: (pod: PodFacts, error: unknown) => void;
}

export function createMaterialHub({ describe, onFault }: MaterialHubOptions): MaterialHub {
  const members = new Map<string, Set<Member>>();
  const lines = new WeakMap<MaterialMessage, Prepared>();

  const prepare = (message: MaterialMessage): Prepared => {
    const known = lines.get(message);
    if (known !== undefined) return known;
    const made = { hash: message.hash, line: encodeLine(message) };
    lines.set(message, made);
    return made;
  };

  function update(member: Member): void {
    const { material, readyPods } = describe(member.pod);
    if (readyPods !== member.readyPods) {
      member.readyPods = readyPods;
      const message: WorkloadMessage = { type: 'workload', readyPods };
      member.subscriber.workload(encodeLine(message));
    }
    if (material === undefined || material.hash === member.hash) return;
    member.hash = material.hash;
    member.subscriber.material(prepare(material));
  }

  function attempt(member: Member): void {
    try {
      update(member);
    } catch (error) {
      onFault(member.pod, error);
    }
  }

  return {
    join(pod, subscriber) {
      const member: Member = { pod, subscriber, hash: '', readyPods: 0 };
      const known = members.get(pod.namespace) ?? new Set<Member>();
      members.set(pod.namespace, known.add(member));
      attempt(member);
      return () => {
        known.delete(member);
        if (known.size === 0 && members.get(pod.namespace) === known) members.delete(pod.namespace);
      };
    },
    refresh(namespaces = new Set(members.keys())) {
      for (const namespace of namespaces) for (const member of members.get(namespace) ?? []) attempt(member);
    },
  };
}
