/**
 * What an earlier invocation added, told apart by what it is, never by an annotation, which anybody may write. Whatever is
 * recognised is replaced by what belongs there now, so recognising too much weakens nothing.
 */
import { isDeepStrictEqual } from 'node:util';
import { INIT_CONTAINER, PROGRAM, SIDECAR_CONTAINER } from '../api/names.ts';
import { parseProbeReplays, type ProbeReplay } from '../api/probe-replay.ts';
import { PROBES_FLAG } from './containers.ts';
import type { Container, PodSpec } from './pod.ts';

/** Names of our containers that the pod holds already. */
export function recognise({ initContainers = [] }: PodSpec): ReadonlySet<string> {
  return new Set(initContainers.filter(isOurs).map(({ name }) => name));
}

export function isOurs({ name, command, args = [], restartPolicy }: Container): boolean {
  if (!isDeepStrictEqual(command, [PROGRAM])) return false;
  if (name === INIT_CONTAINER) return args[0] === 'init';
  return name === SIDECAR_CONTAINER && args[0] === 'sidecar' && restartPolicy === 'Always';
}

/**
 * The replays of the sidecar that is there, by path. Whoever writes a pod may as well write probes, so these say no more
 * than the user could; each counts only for a probe that leads to it.
 */
export function readReplays({ initContainers = [] }: PodSpec): ReadonlyMap<string, ProbeReplay> {
  const { args = [] } = initContainers.find(one => one.name === SIDECAR_CONTAINER && isOurs(one)) ?? {};
  const text = args[args.indexOf(PROBES_FLAG) + 1];
  const replays = args.includes(PROBES_FLAG) && text !== undefined ? parseJson(text) : undefined;
  return new Map((parseProbeReplays(replays) ?? []).map(replay => [replay.path, replay]));
}

function parseJson(base64: string): unknown {
  try {
    return JSON.parse(Buffer.from(base64, 'base64').toString('utf8'));
  } catch {
    return undefined;
  }
}

/** Where the service account plugin mounts the app's own token into every container that does not mount something there. */
export const ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';

/**
 * Whether a container that came back is still what was sent. What others may add without harm is let be: the app's own
 * token, resources that a LimitRange demands, the digest of the image,
 * how a resize would go (which our resources may not take).
 */
export function isUnaltered(actual: Container, desired: Container): boolean {
  const { resources = {}, volumeMounts = [], image = '', ...rest } = { ...actual, resizePolicy: undefined };
  const {
    resources: ours = {},
    volumeMounts: ourMounts = [],
    image: ourImage = '',
    ...desiredRest
  } = { ...desired, resizePolicy: undefined };
  return (
    isDeepStrictEqual(rest, desiredRest) &&
    isDeepStrictEqual(
      volumeMounts.filter(({ mountPath }) => mountPath !== ACCOUNT_FOLDER),
      ourMounts,
    ) &&
    holds(resources.requests, ours.requests) &&
    holds(resources.limits, ours.limits) &&
    (image === ourImage || image.startsWith(`${ourImage}@sha256:`))
  );
}

const holds = (
  actual: Readonly<Record<string, unknown>> = {},
  wanted: Readonly<Record<string, unknown>> = {},
): boolean => Object.entries(wanted).every(([key, value]) => actual[key] === value);
