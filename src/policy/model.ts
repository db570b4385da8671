/**
 * policy: ground floor, pure. Parsed resources become one compiled, immutable snapshot: match tables, pipelines by scope,
 * inheritance, CEL programs, violations with field paths. May import api/, http/ and x509/; nothing of Node.
 *
 * This file is the model that everything above reads. A request takes one Snapshot when its head is complete and keeps it
 * to its end, so that no request is judged by a mixture of two.
 */
import type { ObjectKey } from '../api/object.ts';
import type { Reason } from '../api/reasons.ts';
import type { ApiApp, ApiLimits, TrustedPeer } from '../api/kinds/api.ts';
import type { ErrorOverride } from '../api/kinds/policy.ts';
import type { BackendCredentialSpec } from '../api/kinds/credential.ts';
import type { ClientTrustSpec, DeviceAuthServiceSpec, TokenIssuerSpec } from '../api/kinds/material.ts';
import type { HostPort } from './allowed-hosts.ts';
import type { ServerTrust } from '../api/kinds/shared.ts';
import type { TextRef } from './credential-texts.ts';
import type { Expression, Template } from './expression.ts';
import type { CompiledStep, ResponsePlan } from './steps.ts';
import type { Violation } from '../api/violation.ts';

export type Scope = 'Cluster' | 'Namespace' | 'Product' | 'Api' | 'Operation';

/** Where a step came from; logs, metrics, explain and (with includePolicy) denials print it. */
export interface Origin {
  readonly kind: 'AuthPolicy' | 'ClusterAuthPolicy';
  readonly key: ObjectKey;
  readonly name: string;
  readonly generation: number;
  readonly scope: Scope;
  readonly sealed: boolean;
  readonly audit: boolean;
}

/** A supporting object in force. `generation` changes whenever `spec` does, so it may stand in cache keys. */
export interface Plan<S> {
  readonly key: ObjectKey;
  readonly namespace: string;
  readonly generation: number;
  readonly spec: S;
}
export type IssuerPlan = Plan<TokenIssuerSpec>;
export type TrustPlan = Plan<ClientTrustSpec>;
export interface DeviceServicePlan extends Plan<DeviceAuthServiceSpec> {
  readonly url: Template;
  readonly query: readonly { readonly name: string; readonly value: Template }[];
  readonly headers: readonly { readonly name: string; readonly value: Template }[];
  readonly body: Template;
  /** Over `body`, `deviceId`, `cert`, `status`. */
  readonly allow: Expression;
}
export type CredentialPlan = Plan<BackendCredentialSpec>;

export interface SubscriptionPlan {
  readonly key: ObjectKey;
  /** `subscription.name` of expressions. */
  readonly name: string;
  readonly isActive: boolean;
  /** The last millisecond at which its keys are good; Infinity: no end. */
  readonly notAfter: number;
  /** Apis that its keys open. */
  readonly covers: ReadonlySet<ObjectKey>;
  /** Where the SHA-256 of each key is kept. */
  readonly hashes: readonly { readonly secret: ObjectKey; readonly dataKey: string }[];
}

export interface SharedStorePlan {
  /** The ClusterAuthPolicy that names it. */
  readonly policy: ObjectKey;
  /** `rediss://host:6379/0`, without user. */
  readonly url: string;
  readonly trust?: ServerTrust;
  /** How it is logged in to; `missing`: it should be, and cannot. Absent: not at all. */
  readonly login?: 'missing' | { readonly username: TextRef; readonly password: TextRef; readonly namespace: string };
  readonly onUnavailable: 'PerPod' | 'Deny';
}

export interface SubscriptionSet {
  readonly plans: ReadonlyMap<ObjectKey, SubscriptionPlan>;
  /** Invalid ones without a last good generation: a key that nobody else has may be theirs (S6). */
  readonly held: readonly ObjectKey[];
}

export interface Snapshot {
  /** Counts the snapshots that this process has published; 1 is the first. */
  readonly generation: number;
  /** Hash of everything it was made from, as the source computed it; shown in status. */
  readonly hash: string;
  /** By container port. */
  readonly listeners: ReadonlyMap<number, ListenerPlan>;
  /** Folded names (http/head.ts) that some loaded setHeaders (Override) or claimHeaders of this pod writes: removed from every request. */
  readonly reservedHeaders: ReadonlySet<string>;
  readonly issuers: ReadonlyMap<ObjectKey, IssuerPlan>;
  readonly trusts: ReadonlyMap<ObjectKey, TrustPlan>;
  readonly deviceServices: ReadonlyMap<ObjectKey, DeviceServicePlan>;
  readonly credentials: ReadonlyMap<ObjectKey, CredentialPlan>;
  /** Empty where no step asks for a subscription key. */
  readonly subscriptions: SubscriptionSet;
  /** Absent where no step counts there. */
  readonly sharedStore?: SharedStorePlan;
  /** Names of what steps in force count and remember: what has another name may be forgotten. */
  readonly counters: ReadonlySet<string>;
  /** What cluster policies let this namespace leave open (S9), ended ones included; see allowances.ts. */
  readonly allowances: readonly AllowancePlan[];
  /** How denials look before a match is known (S5). */
  readonly errorsBeforeMatch: ErrorsPlan;
  /** Everything that status must show although it is allowed: audiences [Any], revocation Disabled, acceptAddressTrust … */
  readonly notices: readonly string[];
  /** Warnings, and the errors whose objects fell back to their last good generation or are held as invalid. */
  readonly violations: readonly Violation[];
}

/** One allowance that the policies in force give to the workload’s namespace (S9). */
export interface AllowancePlan {
  /** Name of the ClusterAuthPolicy that says it. */
  readonly policy: string;
  /** `defaultAction: Allow`: connections to ports that no Api selects pass unjudged. */
  readonly opensUnselectedPorts: boolean;
  readonly excludePorts: readonly number[];
  readonly udpPorts: readonly number[];
  readonly privilegedContainers: boolean;
  /** Milliseconds since the epoch; Infinity: it has no end. */
  readonly until: number;
}

export interface ListenerTls {
  readonly mode: 'Terminate' | 'Permissive';
  readonly minVersion: '1.2' | '1.3';
  /** By SNI name (lower case; `*.x` matches one label). */
  readonly certificates: readonly { readonly hosts: readonly string[]; readonly secret: ObjectKey }[];
  /** ClientTrusts of this port; a client certificate is asked for when there is one. */
  readonly clientTrusts: readonly ObjectKey[];
  /** `protocol: TCP`: what is inside is anything, so no protocol is negotiated. */
  readonly opaque?: true;
  /** What is offered by ALPN; absent: HTTP/2 and HTTP/1.1. */
  readonly http?: 'HTTP1' | 'HTTP2';
}

export interface ListenerPlan {
  readonly port: number;
  /** `TCP` (M6): bytes pass unread, and the connection is what is judged. Absent: HTTP/1.1 and HTTP/2. */
  readonly protocol?: 'TCP' | 'HTTP1' | 'HTTP2';
  readonly tls?: ListenerTls;
  /** Of the listener: all but bodyBytes and bodyIdle, which are the Api's. */
  readonly limits: ApiLimits;
  readonly trustedPeers: readonly (Omit<TrustedPeer, 'trust'> & { readonly trust?: ObjectKey })[];
  readonly clientAddress: { readonly from: 'Peer' | 'ForwardedFor'; readonly trustedHops: number };
  /** Peers, by address range, that must begin with the PROXY protocol; its source address is then the peer (M3a). */
  readonly proxyProtocol?: { readonly from: readonly string[] };
  /** Pure; `host` and `path` as in RequestView. Cost does not grow with the number of operations. */
  readonly match: (method: string, host: string, path: string) => Match;
  /** Names that this port serves, for the 421 check; empty: any. */
  readonly hosts: readonly string[];
  /** Those that select this port, the oldest first. */
  readonly apis: readonly ApiPlan[];
  /** Everything that `match` may find, for status and explain. */
  readonly routes: readonly Route[];
  /** No Api of this port could be parsed: everything they may mean is 503 (S6), and the port is not ready. */
  readonly held?: true;
}

export type Match =
  | { readonly kind: 'matched'; readonly route: Route; readonly params: Readonly<Record<string, string>> }
  /** 404 OperationNotFound, 400 AmbiguousPath (a parameter with an escape that back ends read in different ways), 503 PolicyInvalid. */
  | { readonly kind: 'refused'; readonly reason: Reason; readonly errors: ErrorsPlan; readonly api?: ApiPlan };

export interface ApiPlan {
  readonly key: ObjectKey;
  readonly name: string;
  readonly namespace: string;
  readonly generation: number;
  readonly basePath: string;
  readonly app: AppPlan;
  /** What the Api itself presents to the app (`app.credential`), whatever policies say: for probes, which meet no policy. */
  readonly credential?: ObjectKey;
  readonly bodyBytes: number;
  readonly bodyIdleMs: number;
}

export interface AppPlan extends Omit<ApiApp, 'credential'> {
  readonly namespace: string;
  /** Whose it is, for Secrets that may be presented to some hosts only. */
  readonly host: HostPort;
}

/** One operation (or the whole Api) with everything that applies to it, compiled when the policy loads. */
export interface Route {
  readonly api: ApiPlan;
  /** Absent at API scope. */
  readonly operation?: string;
  /** basePath and path template as written, for logs and metrics; bounded, never the request's path. */
  readonly template: string;
  readonly pipeline: Pipeline;
}

export interface Pipeline {
  /** In the order of S2. */
  readonly steps: readonly CompiledStep[];
  /** Enforced authentication steps exist (S7); false: NoPolicyMatches, or AuditPermit when only Audit policies have some. */
  readonly authenticates: 'Enforced' | 'AuditOnly' | 'Never';
  readonly response: ResponsePlan;
  readonly errors: ErrorsPlan;
  /** The certificate credential presented to the app (S5), and the one of a header sort. */
  readonly certificateCredential?: ObjectKey;
  readonly headerCredential?: ObjectKey;
  /**
   * The client's Authorization does not reach the app: it gets a credential of ours or is elsewhere (app.url), and no jwt
   * step says forwardToken for that header.
   */
  readonly hidesAuthorization?: true;
  /**
   * What authentication steps read, hidden from expressions: lower-case header names (`authorization` always),
   * `?access_token` for a query parameter, `cookie:session` for a cookie.
   */
  readonly credentialHeaders: ReadonlySet<string>;
  /**
   * Folded names of the headers that authentication steps read, a signature's time and id too: an app that takes trailers
   * for headers must not find there what was cut out of the head, or another than was verified (security.md rule 3).
   */
  readonly barredTrailers: ReadonlySet<string>;
  /** Rule E7, settled when the policy loads: what `steps.x` and `vars.x` mean in the expressions of each origin. */
  readonly sight: ReadonlyMap<Origin, Sight>;
}

/** Own names, else the nearest broader policy's; never those of an Audit policy (S8) but in itself. */
export interface Sight {
  readonly steps: ReadonlyMap<string, CompiledStep>;
  /** `vars`: null prototype. A name whose Secret or ConfigMap is missing is absent. */
  readonly vars: Readonly<Record<string, string>>;
  /** What `vars` is made of, broadest policy first, the own last: where setVariables ran it is made anew. */
  readonly layers: readonly { readonly origin: Origin; readonly vars: Readonly<Record<string, string>> }[];
}

export interface ErrorsPlan {
  readonly format: 'Problem' | 'Text' | 'Empty';
  readonly includeReason: boolean;
  readonly includePolicy: boolean;
  readonly headers: readonly { readonly name: string; readonly value: Template }[];
  readonly overrides: ReadonlyMap<Reason, Pick<ErrorOverride, 'status' | 'message'>>;
}
