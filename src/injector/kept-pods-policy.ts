/** The policy on pods that run: what is ours stays what it was, whoever changes the pod, and by whichever subresource. */
import { INJECT_LABEL, SIDECAR_CONTAINER } from '../api/names.ts';
import { listCel, quoteCel } from './cel.ts';
import { OWN_CONTAINERS, OWN_VOLUMES } from './hazards.ts';
import type { Rule } from './made-pods-policy.ts';

const label = (object: string): string => `${object}.metadata.?labels[?${quoteCel(INJECT_LABEL)}].orValue('')`;
const ours = (object: string): string =>
  `${object}.spec.?initContainers.orValue([]).filter(c, c.name in ${listCel(OWN_CONTAINERS)})`;
const volumes = (object: string): string =>
  `${object}.spec.?volumes.orValue([]).filter(v, v.name in ${listCel(OWN_VOLUMES)})`;

export const RULES: readonly Rule[] = [
  {
    expression: `${label('object')} == ${label('oldObject')}`,
    message: `the label ${INJECT_LABEL} cannot be changed on a pod that runs; change it in the template of its owner`,
  },
  {
    expression: `${ours('object')} == ${ours('oldObject')}`,
    message: `the containers ${OWN_CONTAINERS.join(' and ')} cannot be changed in a pod that runs; a new version comes with new pods: kubectl rollout restart`,
  },
  {
    expression: `${volumes('object')} == ${volumes('oldObject')}`,
    message: `the volumes of ${SIDECAR_CONTAINER} cannot be changed in a pod that runs`,
  },
];
