/**
 * What a sidecar and the controller say to each other (docs/design/2026-11-23-cluster-interfaces.md): lines of JSON in both
 * bodies of one HTTP/2 request over TLS 1.3, and two ordinary requests beside it. Everything is judged by the bearer token
 * of the request; nothing that a sidecar says of itself is believed but what it enforces.
 */

export const PROTOCOL = 1;

export const MATERIAL_PATH = '/v1/material';
export const CERTIFICATE_PATH = '/v1/certificate';
/** Between replicas of the controller: asked with a token of the controller's own service account. */
export const ACKNOWLEDGEMENTS_PATH = '/v1/acknowledgements';

export const TIMING = {
  pingMs: 20_000,
  /** Nothing heard for so long, by either side: the stream has ended. */
  silenceMs: 60_000,
  /** A stream is ended after this long (less up to a quarter at random), so that streams spread over the replicas again. */
  streamMs: 3_600_000,
} as const;

export const BOUNDS = {
  /** Bytes of one line to the sidecar, its line feed included. */
  toSidecar: 16 * 1024 * 1024,
  /** Bytes of one line to the controller: acknowledgements of more objects come in several lines. */
  toController: 1024 * 1024,
  objectsInAcknowledgement: 1000,
  /** Each is one Event of the pod. */
  closedPorts: 8,
  /** Bytes of a body of /v1/certificate. */
  certificateRequest: 16 * 1024,
  /** Characters of `problem`. */
  problem: 512,
} as const;

export type FromSidecar = Hello | Acknowledge | Pong;

/** The first line. */
export interface Hello {
  readonly type: 'hello';
  /** Of the sidecar: package.json. */
  readonly version: string;
  readonly protocol: number;
}

/**
 * What is in force. The first of a stream has `full: true` and says everything; later ones say what changed. A `full` one
 * that holds too many objects for a line is followed by others.
 */
export interface Acknowledge {
  readonly type: 'acknowledge';
  /** Of the material in force, as it was sent on this stream; one that was not sent is not counted. Empty: none was needed or came yet. */
  readonly hash: string;
  /** Forget all that this stream acknowledged before. */
  readonly full: boolean;
  /** Only objects that concern this pod: policies that apply, Apis that select it, what they name. */
  readonly objects: readonly AcknowledgedObject[];
  /** Identities (`AuthPolicy shop/fleet`) of objects that no longer concern it. */
  readonly gone: readonly string[];
  readonly issuers: readonly IssuerState[];
  readonly certificates: readonly CertificateState[];
  /** Ports of the app that listen on more than loopback in explicit mode. */
  readonly appExposed: readonly number[];
  /**
   * Ports without an Api that somebody dialled and that are reset, the first of them. Absent: none, or a sidecar that does
   * not tell.
   */
  readonly closedPorts?: readonly number[];
  /** What Audit policies would have denied since the process started, by `AuthPolicy shop/fleet`. */
  readonly wouldDeny: readonly { readonly policy: string; readonly count: number }[];
}

export interface AcknowledgedObject {
  readonly kind: string;
  /** Empty for the cluster kind. */
  readonly namespace: string;
  readonly name: string;
  /** metadata.uid: a new object of the same name is another. */
  readonly uid: string;
  /** metadata.generation that was read. What is in force is that one only with state InForce. */
  readonly generation: number;
  /**
   * InForce: this generation. Kept: it is wrong, its last good generation is in force. Unsupported: the same, since this
   * sidecar's version does not know something in it. Refused: it is wrong and has no last good generation; what it would
   * apply to is 503.
   */
  readonly state: 'InForce' | 'Kept' | 'Unsupported' | 'Refused';
  /** Field, problem and fix of the first error; no value of a secret. */
  readonly problem?: string;
}

export interface IssuerState {
  /** `namespace/name` of the TokenIssuer. */
  readonly key: string;
  /** Number of keys at hand. */
  readonly keys: number;
  /** Milliseconds since the epoch. */
  readonly fetchedAt?: number;
  /** Older than cache.maxAge. */
  readonly stale: boolean;
  readonly problem?: string;
}

export interface CertificateState {
  /** `namespace/name` of the BackendCredential. */
  readonly credential: string;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
  /** Of the leaf: upper-case hex. */
  readonly sha256: string;
}

export interface Pong {
  readonly type: 'pong';
}

export type FromController = MaterialMessage | WorkloadMessage | Ping | Bye;

/**
 * Everything that the objects selecting this pod name (listNamed in named.ts says what that is), always whole. An entry of
 * null: it does not exist, or may not be had; that differs from no entry, which is "not yet known".
 */
export interface MaterialMessage {
  readonly type: 'material';
  /** SHA-256 (hex) over the rest of this message. */
  readonly hash: string;
  readonly namespaceLabels: Readonly<Record<string, string>>;
  /** Manifests of other namespaces' objects that cluster policies name, by `TokenIssuer identity/corp`. */
  readonly objects: Readonly<Record<string, unknown>>;
  /** By `namespace/name`; data holds the keys that are named, no others, Base64. */
  readonly secrets: Readonly<Record<string, SecretEntry | null>>;
  readonly configMaps: Readonly<Record<string, ConfigMapEntry | null>>;
  /** Absent: no PolicyTest of the namespace has `gate: true`. */
  readonly gate?: Gate;
}

export interface SecretEntry {
  readonly type: string;
  readonly data: Readonly<Record<string, string>>;
  /** Of the annotation `sallyport.dev/allowed-hosts`: what the Secret holds is presented to no other host. Absent: any. */
  readonly allowedHosts?: readonly string[];
}

export interface ConfigMapEntry {
  readonly data: Readonly<Record<string, string>>;
}

/**
 * Which AuthPolicies of the pod's own namespace are in force while a PolicyTest with `gate: true` exists there. They take
 * the place of those that the API server has, so that nothing newer, nothing new and no deletion comes into force before
 * every case passed.
 */
export interface Gate {
  /**
   * Manifests of those that concern the pod, with uid and generation, as they were when every case passed last. null: they
   * never did; what a pod has in force of an AuthPolicy stays, and one of which it has nothing is refused (S6).
   */
  readonly policies: readonly unknown[] | null;
}

/** Sent before the first material, and whenever it changes. Not part of the hash: pods come and go. */
export interface WorkloadMessage {
  readonly type: 'workload';
  /** Ready pods of this pod's workload, this one included; at least 1. For `scope: Workload`. */
  readonly readyPods: number;
}

export interface Ping {
  readonly type: 'ping';
}

/** The stream ends now; ask again, of any replica, after so long. */
export interface Bye {
  readonly type: 'bye';
  readonly retryAfterMs: number;
  /** Stopping: this replica ends. Rebalance: the stream is old. Replaced: a newer stream of the same pod is open. */
  readonly reason: 'Stopping' | 'Rebalance' | 'Replaced' | 'ProtocolError' | 'MaterialTooLarge';
}

/** `POST /v1/certificate`, a JSON object. */
export interface CertificateRequest {
  /** PKCS #10 in PEM. Only its public key counts; its signature must verify. */
  readonly csr: string;
  /** `namespace/name` of the BackendCredential, for its managed.lifetime; absent: 72 h. */
  readonly credential?: string;
}

export interface CertificateResponse {
  /** PEM, leaf first. */
  readonly certificate: string;
  /** Every mesh CA that an app should trust now, PEM. */
  readonly ca: string;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
  /** `spiffe://<trust-domain>/ns/<namespace>/sa/<service account>`. */
  readonly spiffeId: string;
}

/** Body of every answer that is not 200, a JSON object. */
export interface Refusal {
  /** 401 TokenInvalid | TokenNotBound; 403 PodUnknown | PodNotProtected; 400 BadRequest; 404 NotFound; 429 TooManyStreams; 503 NotReady. */
  readonly reason: string;
  readonly problem: string;
}
