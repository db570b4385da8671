/** What one step is measured by: its manifest, and the same thing in the words of the peers that have it. */

export interface StepCase {
  /** Of the row. */
  readonly name: string;
  readonly sallyport: SallyportStep;
  /** Lines of a frontend; absent: HAProxy has no such thing, or only in Lua. */
  readonly haproxy?: readonly string[];
  readonly envoy?: EnvoyStep;
  readonly request?: StepRequest;
  /** The request's whole cost, not its difference to plain forwarding: nothing is forwarded. */
  readonly whole?: boolean;
  /** It computes over bodies: no bound is set. */
  readonly unbounded?: boolean;
}

export interface SallyportStep {
  readonly request?: object;
  readonly response?: object;
  /** Spec of a BackendCredential that is presented to the app. */
  readonly credential?: object;
  readonly objects?: readonly object[];
}

export interface EnvoyStep {
  /** Before the router. */
  readonly filters?: readonly object[];
  /** Members of the route; `direct_response` stands in the place of the app. */
  readonly route?: Readonly<Record<string, unknown>>;
  readonly virtualHost?: Readonly<Record<string, unknown>>;
}

export interface StepRequest {
  readonly headers?: Readonly<Record<string, string>>;
  /** Makes it a POST. */
  readonly body?: string;
  /** Answers of 4 KiB. */
  readonly large?: boolean;
}

const TYPE = 'type.googleapis.com/envoy.extensions.filters.http';

export const envoyFilter = (name: string, version: string, members: object): object => ({
  name,
  typed_config: { '@type': `${TYPE}.${name}.${version}`, ...members },
});

/** RBAC that lets pass whom the policy holds. */
export const envoyRbac = (policy: object, action: 'ALLOW' | 'DENY' = 'ALLOW'): object =>
  envoyFilter('rbac', 'v3.RBAC', {
    rules: { action, policies: { it: { permissions: [{ any: true }], principals: [{ any: true }], ...policy } } },
  });

export const secretKey = (name: string, key: string) => ({ secretKeyRef: { name, key } });
