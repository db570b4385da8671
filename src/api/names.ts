/** Names by which the parts in a cluster know each other (docs/design/2026-11-23-cluster-interfaces.md). */

/** On namespaces and pods; `enabled` is its only value. */
export const INJECT_LABEL = 'sallyport.dev/inject';
export const EXCLUDE_PORTS_ANNOTATION = 'sallyport.dev/exclude-ports';
export const EXCLUDE_UDP_PORTS_ANNOTATION = 'sallyport.dev/exclude-udp-ports';
export const INTERCEPTION_ANNOTATION = 'sallyport.dev/interception';

export const INIT_CONTAINER = 'sallyport-init';
export const SIDECAR_CONTAINER = 'sallyport';

export const RUN_VOLUME = 'sallyport-run';
export const RUN_FOLDER = '/run/sallyport';
export const TOKENS_VOLUME = 'sallyport-tokens';
export const TOKENS_FOLDER = '/var/run/secrets/sallyport.dev';
export const POD_VOLUME = 'sallyport-pod';
export const POD_FOLDER = '/etc/sallyport/pod';

/** User and group of the sidecar. */
export const SIDECAR_UID = 15_190;
/** Audience of the tokens that only the controller accepts. */
export const CONTROLLER_AUDIENCE = 'sallyport.dev/controller';

export const PORTS = { proxy: 15_190, health: 15_191, webhook: 15_193, material: 15_194 } as const;

export const CONTROLLER_SERVICE = 'sallyport-controller';
export const FIELD_MANAGER = 'sallyport-controller';
/** Role and RoleBinding of opted-in namespaces, and the ClusterRole of the cluster kind. */
export const SIDECAR_ROLE = 'sallyport-sidecar';
/** ConfigMap (`ca.crt`) of opted-in namespaces; Secret in the controller’s own. */
export const MESH_CA = 'sallyport-mesh-ca';
/** Secret with the roots of what the controller serves: webhooks, and material for sidecars. */
export const SERVING_CA = 'sallyport-serving-ca';

/** The command in the image, found by its PATH. */
export const PROGRAM = 'sallyport';
/** Names of the sidecar’s ports, for monitors. */
export const PORT_NAMES = { proxy: 'sallyport-proxy', health: 'sallyport-stats' } as const;
export const ADMIN_SOCKET = `${RUN_FOLDER}/admin.sock`;
export const STATE_FOLDER = `${RUN_FOLDER}/state`;
/** What rewritten probes begin with on the health port; see probe-replay.ts. */
export const PROBE_PREFIX = '/app-health';

/** Never injected, whatever their labels. */
export const SYSTEM_NAMESPACES = ['kube-system', 'kube-public', 'kube-node-lease'] as const;

/** MutatingWebhookConfiguration and ValidatingWebhookConfiguration. */
export const WEBHOOK_CONFIGURATION = 'sallyport';
/** ValidatingAdmissionPolicies: pods that are made, pods that run, the label of namespaces. */
export const ADMISSION_POLICIES = {
  made: 'sallyport-pods-made',
  kept: 'sallyport-pods-kept',
  namespaces: 'sallyport-namespaces',
} as const;
/** ConfigMap in the controller’s namespace: what the policy on new pods compares with (src/injector/admission-parameters.ts). */
export const ADMISSION_PARAMETERS = 'sallyport-admission';
