/** The policy on pods that are made, and on ephemeral containers: our containers stand there, unaltered, and nothing beside them undoes them. */
import {
  CONTROLLER_AUDIENCE,
  INIT_CONTAINER,
  INJECT_LABEL,
  INTERCEPTION_ANNOTATION,
  POD_VOLUME,
  RUN_VOLUME,
  SIDECAR_CONTAINER,
  SIDECAR_UID,
  TOKENS_VOLUME,
  WEBHOOK_CONFIGURATION,
} from '../api/names.ts';
import { KEYS } from './admission-parameters.ts';
import { allOf, anyOf, listCel, quoteCel } from './cel.ts';
import { PROBES_FLAG } from './containers.ts';
import { DANGEROUS_CAPABILITIES, OWN_CONTAINERS, OWN_VOLUMES } from './hazards.ts';
import { ENFORCE_LABEL } from './interception.ts';
import { isInitUnaltered, isSidecarUnaltered, parameter } from './own-containers-policy.ts';

export interface Rule {
  readonly expression: string;
  readonly message?: string;
  readonly messageExpression?: string;
}
export interface Variable {
  readonly name: string;
  readonly expression: string;
}

const isMade = "request.operation == 'CREATE'";

export const VARIABLES: readonly Variable[] = [
  // Containers that are there already are not looked at again: what was allowed then may not be allowed now.
  {
    name: 'ephemeral',
    expression: `${isMade} ? [] : object.spec.?ephemeralContainers.orValue([]).filter(c, !oldObject.spec.?ephemeralContainers.orValue([]).exists(o, o.name == c.name))`,
  },
  { name: 'inits', expression: 'object.spec.?initContainers.orValue([])' },
  {
    name: 'foreign',
    expression: `${isMade} ? object.spec.containers + variables.inits.filter(c, !(c.name in ${listCel(OWN_CONTAINERS)})) : []`,
  },
  { name: 'volumes', expression: 'object.spec.?volumes.orValue([])' },
  {
    name: 'explicit',
    expression: `object.metadata.?annotations[?${quoteCel(INTERCEPTION_ANNOTATION)}].orValue('') == 'explicit'`,
  },
  {
    name: 'level',
    expression: `namespaceObject.metadata.?labels[?${quoteCel(ENFORCE_LABEL)}].orValue(${parameter(KEYS.defaultPodSecurity)})`,
  },
  { name: 'images', expression: `${parameter(KEYS.images)}.split('\\n')` },
  { name: 'sidecarIndex', expression: 'variables.explicit ? 0 : 1' },
  {
    name: 'privileged',
    expression: `request.namespace in ${parameter(KEYS.privileged)}.split('\\n')`,
  },
  {
    name: 'tail',
    expression: `['--kubernetes-ca', '--max-memory', '--drain-timeout', '--log-level', '--container-ports', ${quoteCel(PROBES_FLAG)}] + ${parameter(KEYS.flags)}.split('\\n')`,
  },
];

const volume = (name: string, rest: string): string =>
  `variables.volumes.exists_one(v, v.name == ${quoteCel(name)} && ${rest})`;
const areVolumesUnaltered = allOf(
  volume(RUN_VOLUME, "v.?emptyDir.?medium.orValue('') == 'Memory'"),
  volume(
    TOKENS_VOLUME,
    `v.?projected.?sources.orValue([]).map(s, s.?serviceAccountToken.?path.orValue('')) == ['controller-token', 'api-token'] && v.projected.sources[0].serviceAccountToken.?audience.orValue('') == ${quoteCel(CONTROLLER_AUDIENCE)} && v.projected.sources[1].serviceAccountToken.?audience.orValue('') == ''`,
  ),
  volume(POD_VOLUME, 'has(v.downwardAPI)'),
);

/** The same for lists of both types of containers. */
const forAll = (lists: readonly string[], test: (container: string) => string): string =>
  lists.map(list => `${list}.all(c, ${test('c')})`).join(' && ');
const OTHERS = ['variables.foreign', 'variables.ephemeral'];

const SEE = `the webhook adds it, so either it was not asked or something changed its work; look at kubectl get mutatingwebhookconfiguration ${WEBHOOK_CONFIGURATION}`;
const ALLOW = 'or have a ClusterAuthPolicy say allowances: [{privilegedContainers: true}]';

/** Whether a pod that gets an ephemeral container is one of ours: others in the namespace are older than its label. */
const concerns = (expression: string): string =>
  `!(${anyOf(isMade, `oldObject.spec.?initContainers.orValue([]).exists(c, c.name == ${quoteCel(SIDECAR_CONTAINER)})`)}) || (${expression})`;
const whenMade = (expression: string): string => `!(${isMade}) || (${expression})`;
const unlessAllowed = (expression: string): string => concerns(`variables.privileged || (${expression})`);

export const RULES: readonly Rule[] = [
  {
    expression: whenMade(`object.metadata.?labels[?${quoteCel(INJECT_LABEL)}].orValue('') == 'enabled'`),
    message: `the pod does not carry the label ${INJECT_LABEL}: enabled, the only value there is: ${SEE}`,
  },
  {
    expression: whenMade('!object.spec.?hostNetwork.orValue(false)'),
    message:
      'spec.hostNetwork is true: the pod shares the node’s network, so interception would be the node’s; remove it',
  },
  {
    expression: whenMade(
      `!variables.explicit || variables.level != 'privileged' || ${parameter(KEYS.explicit)} == 'anywhere'`,
    ),
    message: `the annotation ${INTERCEPTION_ANNOTATION} is explicit, which leaves ports without an Api open, and the namespace does not need it; remove it`,
  },
  {
    expression: whenMade(
      `variables.explicit ? !variables.inits.exists(c, c.name == ${quoteCel(INIT_CONTAINER)}) : (variables.inits.size() > 0 && ${isInitUnaltered})`,
    ),
    message: `the first init container is not an unaltered ${INIT_CONTAINER}: ${SEE}`,
  },
  {
    expression: whenMade(`variables.inits.size() > variables.sidecarIndex && ${isSidecarUnaltered}`),
    message: `the pod has no unaltered sidecar before its other containers: ${SEE}`,
  },
  { expression: whenMade(areVolumesUnaltered), message: `the volumes of the sidecar are missing or altered: ${SEE}` },
  {
    expression: concerns(
      forAll(OTHERS, c => `!(${c}.?volumeMounts.orValue([]).exists(m, m.name in ${listCel(OWN_VOLUMES)}))`),
    ),
    message: `a container mounts a volume that belongs to the sidecar alone (${OWN_VOLUMES.join(', ')}); remove the mount`,
  },
  {
    expression: whenMade(
      `variables.volumes.all(v, v.name == ${quoteCel(TOKENS_VOLUME)} || !v.?projected.?sources.orValue([]).exists(s, s.?serviceAccountToken.?audience.orValue('') == ${quoteCel(CONTROLLER_AUDIENCE)}))`,
    ),
    message: `a volume holds a token with the audience ${CONTROLLER_AUDIENCE}, which is the sidecar’s alone; remove it`,
  },
  {
    expression: concerns(
      `variables.ephemeral.all(c, !(c.?targetContainerName.orValue('') in ${listCel(OWN_CONTAINERS)}))`,
    ),
    message: `an ephemeral container would share the processes of the sidecar; target a container of the app`,
  },
  {
    expression: whenMade(
      `variables.privileged || (!object.spec.?hostPID.orValue(false) && !object.spec.?shareProcessNamespace.orValue(false))`,
    ),
    message: `spec.hostPID or spec.shareProcessNamespace is true, so that containers can reach the memory and files of the sidecar; remove it, ${ALLOW}`,
  },
  {
    expression: unlessAllowed(forAll(OTHERS, c => `!${c}.?securityContext.?privileged.orValue(false)`)),
    message: `a container is privileged, with which it can undo the interception; remove that, ${ALLOW}`,
  },
  {
    expression: unlessAllowed(
      forAll(
        OTHERS,
        c =>
          `!${c}.?securityContext.?capabilities.?add.orValue([]).exists(a, a.upperAscii().replace('CAP_', '') in ${listCel(DANGEROUS_CAPABILITIES)})`,
      ),
    ),
    message: `a container adds one of the capabilities ${DANGEROUS_CAPABILITIES.join(', ')}, with which it can undo the interception; remove it (kubectl debug: --profile=baseline), ${ALLOW}`,
  },
  {
    expression: unlessAllowed(
      forAll(
        OTHERS,
        c =>
          `${c}.?securityContext.?runAsUser.orValue(object.spec.?securityContext.?runAsUser.orValue(-1)) != ${SIDECAR_UID}`,
      ),
    ),
    message: `a container runs as user ${SIDECAR_UID}, which is the sidecar’s own; choose another, ${ALLOW}`,
  },
];
