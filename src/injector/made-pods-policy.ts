/** The policy on pods that are made, and on ephemeral containers: our containers stand there, unaltered, and nothing beside them undoes them. */
import {
  ADMIN_SOCKET,
  CONTROLLER_AUDIENCE,
  INIT_CONTAINER,
  INJECT_LABEL,
  INTERCEPTION_ANNOTATION,
  POD_FOLDER,
  POD_VOLUME,
  PORTS,
  PROGRAM,
  RUN_FOLDER,
  RUN_VOLUME,
  SIDECAR_CONTAINER,
  SIDECAR_UID,
  TOKENS_FOLDER,
  TOKENS_VOLUME,
  WEBHOOK_CONFIGURATION,
} from '../api/names.ts';
import { KEYS } from './admission-parameters.ts';
import { allOf, anyOf, listCel, quoteCel } from './cel.ts';
import { INIT_PREFIX, PROBES_FLAG, writeArgumentPrefix } from './containers.ts';
import { DANGEROUS_CAPABILITIES, OWN_CONTAINERS, OWN_VOLUMES } from './hazards.ts';
import { ENFORCE_LABEL } from './interception.ts';
import { ACCOUNT_FOLDER } from './recognition.ts';

export interface Rule {
  readonly expression: string;
  readonly message?: string;
  readonly messageExpression?: string;
}
export interface Variable {
  readonly name: string;
  readonly expression: string;
}

/** Stands where the controller's namespace is written into an address. */
const NAMESPACE = '%';
const isMade = "request.operation == 'CREATE'";
const parameter = (key: string): string => `params.?data[?${quoteCel(key)}].orValue('')`;
const parameterOf = (prefix: string): string =>
  `params.?data[?(${quoteCel(prefix)} + request.namespace)].orValue('').split(',')`;
/** An argument of the prefix; the controller's address holds the namespace in which the parameters stand. */
const argument = (text: string): string => {
  const [before = '', after] = text.split(NAMESPACE);
  return after === undefined ? quoteCel(text) : `${quoteCel(before)} + params.metadata.namespace + ${quoteCel(after)}`;
};

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
    expression: `['--kubernetes-ca', '--max-memory', '--log-level', '--container-ports', ${quoteCel(PROBES_FLAG)}] + ${parameter(KEYS.flags)}.split('\\n')`,
  },
];

const isImage = (container: string): string =>
  allOf(
    `has(${container}.image)`,
    `variables.images.exists(i, i != '' && (${container}.image == i || ${container}.image.startsWith(i + '@sha256:')))`,
  );

/** Nothing that could run, load or show anything else in a container of ours. */
const runsNothingElse = (c: string): string =>
  allOf(
    `${c}.?command.orValue([]) == ${listCel([PROGRAM])}`,
    `!has(${c}.envFrom) || ${c}.envFrom.size() == 0`,
    `!has(${c}.volumeDevices) || ${c}.volumeDevices.size() == 0`,
    `!has(${c}.livenessProbe)`,
    `!has(${c}.workingDir)`,
    `!has(${c}.lifecycle) || !has(${c}.lifecycle.postStart)`,
    `!${c}.?securityContext.?privileged.orValue(false)`,
    `!${c}.?securityContext.?allowPrivilegeEscalation.orValue(true)`,
    `${c}.?securityContext.?readOnlyRootFilesystem.orValue(false)`,
    `'ALL' in ${c}.?securityContext.?capabilities.?drop.orValue([])`,
  );

const withoutAccount = (c: string): string =>
  `${c}.?volumeMounts.orValue([]).filter(m, m.mountPath != ${quoteCel(ACCOUNT_FOLDER)})`;

const beginsWith = (args: string, prefix: readonly string[]): string =>
  prefix.map((text, index) => `${args}[${index}] == ${argument(text)}`).join(' && ');

const init = 'variables.inits[0]';
const initArguments = `${init}.args`;
const isPortGranted = (list: string, prefix: string, own: string): string =>
  `${list}.split(',').all(p, ${own === '' ? '' : `p == ${quoteCel(own)} || `}p in ${parameterOf(prefix)})`;

const isInitUnaltered = allOf(
  `${init}.name == ${quoteCel(INIT_CONTAINER)}`,
  isImage(init),
  runsNothingElse(init),
  `!has(${init}.restartPolicy)`,
  `!has(${init}.env) || ${init}.env.size() == 0`,
  `${withoutAccount(init)}.size() == 0`,
  `${init}.?securityContext.?runAsUser.orValue(-1) == 0`,
  `${init}.?securityContext.?capabilities.?add.orValue([]) == ['NET_ADMIN']`,
  `${init}.?args.orValue([]).size() in [${INIT_PREFIX.length + 1}, ${INIT_PREFIX.length + 3}]`,
  beginsWith(initArguments, INIT_PREFIX),
  isPortGranted(`${initArguments}[${INIT_PREFIX.length}]`, KEYS.excludePorts, String(PORTS.health)),
  `${initArguments}.size() == ${INIT_PREFIX.length + 1} || (${initArguments}[${INIT_PREFIX.length + 1}] == '--udp-ports' && ${isPortGranted(`${initArguments}[${INIT_PREFIX.length + 2}]`, KEYS.udpPorts, '')})`,
);

const sidecar = 'variables.inits[variables.sidecarIndex]';
const sidecarArguments = `${sidecar}.args`;
const [modeIndex, prefix] = (() => {
  const written = writeArgumentPrefix('transparent', NAMESPACE);
  return [written.indexOf('transparent'), written] as const;
})();
const FIELDS = ['metadata.namespace', 'metadata.name', 'metadata.uid', 'status.podIPs'];
const NAMES = ['SALLYPORT_NAMESPACE', 'SALLYPORT_POD_NAME', 'SALLYPORT_POD_UID', 'SALLYPORT_POD_IPS'];
const MOUNTS: readonly (readonly [string, string])[] = [
  [RUN_VOLUME, RUN_FOLDER],
  [TOKENS_VOLUME, TOKENS_FOLDER],
  [POD_VOLUME, POD_FOLDER],
];

const isSidecarUnaltered = allOf(
  `${sidecar}.name == ${quoteCel(SIDECAR_CONTAINER)}`,
  isImage(sidecar),
  runsNothingElse(sidecar),
  `${sidecar}.?restartPolicy.orValue('') == 'Always'`,
  `${sidecar}.?startupProbe.?httpGet.?path.orValue('') == '/readyz'`,
  `${sidecar}.?readinessProbe.?httpGet.?path.orValue('') == '/readyz'`,
  `${sidecar}.?lifecycle.?preStop.?exec.?command.orValue([]) == ${listCel([PROGRAM, 'drain', '--admin-socket', ADMIN_SOCKET])}`,
  `${sidecar}.?securityContext.?runAsUser.orValue(-1) == ${SIDECAR_UID}`,
  `${sidecar}.?securityContext.?runAsNonRoot.orValue(false)`,
  `${sidecar}.?securityContext.?capabilities.?add.orValue([]).size() == 0`,
  `${sidecar}.?env.orValue([]).map(e, e.name) == ${listCel(NAMES)}`,
  `${sidecar}.env.map(e, e.?valueFrom.?fieldRef.?fieldPath.orValue('')) == ${listCel(FIELDS)}`,
  `${withoutAccount(sidecar)}.map(m, m.name) == ${listCel(MOUNTS.map(([name]) => name))}`,
  `${withoutAccount(sidecar)}.map(m, m.mountPath) == ${listCel(MOUNTS.map(([, folder]) => folder))}`,
  `${sidecar}.?args.orValue([]).size() >= ${prefix.length + 3}`,
  prefix
    .map((text, index) =>
      index === modeIndex
        ? `${sidecarArguments}[${index}] == (variables.explicit ? 'explicit' : 'transparent')`
        : `${sidecarArguments}[${index}] == ${argument(text)}`,
    )
    .join(' && '),
  `${sidecarArguments}[${prefix.length}] in ${parameter(KEYS.controllerCas)}.split('\\n')`,
  `${sidecarArguments}[${prefix.length + 1}] == '--kubernetes-ca'`,
  `${sidecarArguments}[${prefix.length + 2}] in ${parameter(KEYS.kubernetesCas)}.split('\\n')`,
  // Flags cannot be given twice; the sidecar ends when one is.
  `${sidecarArguments}.filter(a, a.startsWith('-')).all(a, a in ${listCel(prefix.filter(text => text.startsWith('-')))} || a.split('=')[0] in variables.tail)`,
);

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
