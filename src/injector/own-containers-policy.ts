/** CEL: whether our containers in a pod that is made are what the injector makes. The variables are made-pods-policy.ts's. */
import {
  ADMIN_SOCKET,
  INIT_CONTAINER,
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
} from '../api/names.ts';
import { KEYS } from './admission-parameters.ts';
import { allOf, listCel, quoteCel } from './cel.ts';
import { INIT_PREFIX, writeArgumentPrefix } from './containers.ts';
import { ACCOUNT_FOLDER } from './recognition.ts';

/** Stands where the controller's namespace is written into an address. */
const NAMESPACE = '%';
export const parameter = (key: string): string => `params.?data[?${quoteCel(key)}].orValue('')`;
const parameterOf = (prefix: string): string =>
  `params.?data[?(${quoteCel(prefix)} + request.namespace)].orValue('').split(',')`;
/** An argument of the prefix; the controller's address holds the namespace in which the parameters stand. */
const argument = (text: string): string => {
  const [before = '', after] = text.split(NAMESPACE);
  return after === undefined ? quoteCel(text) : `${quoteCel(before)} + params.metadata.namespace + ${quoteCel(after)}`;
};

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

export const isInitUnaltered = allOf(
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

export const isSidecarUnaltered = allOf(
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
