/**
 * Whether a pod that runs carries our sidecar as we inject it. Admission policies see to that when pods are made and
 * changed; this is asked again before anything secret is handed out, and when pods are counted.
 */
import { CONTROLLER_AUDIENCE, RUN_VOLUME, SIDECAR_CONTAINER, SIDECAR_UID, TOKENS_VOLUME } from '../api/names.ts';
import type { Container, PodSpec } from '../injector/pod.ts';
import { isPod } from '../injector/pod-shape.ts';
import { isOurs } from '../injector/recognition.ts';
import type { SidecarFact, VerifySidecar } from './pods.ts';

export interface SidecarIdentity {
  /** Image that is injected now. Sidecars of other versions count, those of another repository do not. */
  readonly image: string;
  /** `--controller` of every sidecar. */
  readonly controllerUrl: string;
}

export function createVerifySidecar({ image, controllerUrl }: SidecarIdentity): VerifySidecar {
  const repository = repositoryOf(image);
  const findProblem = (spec: PodSpec, sidecar: Container): string | undefined => {
    if (!isOurs(sidecar)) return 'its command or restartPolicy is not ours';
    if (repositoryOf(sidecar.image ?? '') !== repository) return `its image is not one of ${repository}`;
    if (argumentOf(sidecar, '--controller') !== controllerUrl) return 'it asks another controller';
    if ((sidecar.securityContext?.runAsUser ?? SIDECAR_UID) !== SIDECAR_UID) return 'it runs as another user';
    return findLeak(spec);
  };
  return (pod): SidecarFact => {
    if (!isPod(pod)) return { state: 'Altered', problem: 'the pod cannot be read' };
    const { spec } = pod;
    const sidecar = spec.initContainers?.find(({ name }) => name === SIDECAR_CONTAINER);
    if (sidecar === undefined) return { state: 'None' };
    const problem = findProblem(spec, sidecar);
    return problem === undefined ? { state: 'Protected' } : { state: 'Altered', problem };
  };
}

/** Without tag and digest; a port of the registry is no tag. */
function repositoryOf(image: string): string {
  const [name = ''] = image.split('@', 1);
  const colon = name.lastIndexOf(':');
  return colon > name.lastIndexOf('/') ? name.slice(0, colon) : name;
}

function argumentOf({ args = [] }: Container, flag: string): string | undefined {
  const at = args.indexOf(flag);
  // Given twice, the last one may count: that is not what we write.
  return at >= 0 && args.lastIndexOf(flag) === at ? args[at + 1] : undefined;
}

/** What is the sidecar’s alone in somebody else’s hands. */
function findLeak({
  containers,
  initContainers = [],
  ephemeralContainers = [],
  volumes = [],
}: PodSpec): string | undefined {
  const others = [...containers, ...initContainers, ...ephemeralContainers].filter(container => !isOurs(container));
  for (const { name, volumeMounts = [] } of others) {
    const mount = volumeMounts.find(one => one.name === TOKENS_VOLUME || one.name === RUN_VOLUME);
    if (mount !== undefined) return `the container ${name} mounts ${mount.name}`;
  }
  const foreign = volumes.find(
    ({ name, projected }) =>
      name !== TOKENS_VOLUME &&
      projected?.sources?.some(({ serviceAccountToken }) => serviceAccountToken?.audience === CONTROLLER_AUDIENCE) ===
        true,
  );
  return foreign === undefined ? undefined : `the volume ${foreign.name} holds a token for the controller`;
}
