/** All kinds of the group, each described once. */
import type { Infer, Schema } from '../schema.ts';
import type { ParsedObject } from '../object.ts';
import { apiSpec } from './api.ts';
import { subscriptionSpec } from './subscription.ts';
import { authPolicySpec, clusterAuthPolicySpec } from './policy.ts';
import { policyTestSpec } from './policy-test.ts';
import { backendCredentialSpec } from './credential.ts';
import { clientTrustSpec, deviceAuthServiceSpec, tokenIssuerSpec } from './material.ts';

export interface KindInfo<S> {
  readonly spec: Schema<S>;
  readonly plural: string;
  readonly shortName?: string;
  readonly scope: 'Namespaced' | 'Cluster';
  /** Carries the label of Gateway API's inherited policies. */
  readonly policy: boolean;
}

const kind = <S>(
  spec: Schema<S>,
  plural: string,
  shortName?: string,
  options: Partial<KindInfo<S>> = {},
): KindInfo<S> => ({
  spec,
  plural,
  scope: 'Namespaced',
  policy: false,
  ...(shortName === undefined ? {} : { shortName }),
  ...options,
});

export const KINDS = {
  ClusterAuthPolicy: kind(clusterAuthPolicySpec, 'clusterauthpolicies', 'cauthpol', { scope: 'Cluster', policy: true }),
  AuthPolicy: kind(authPolicySpec, 'authpolicies', 'authpol', { policy: true }),
  Api: kind(apiSpec, 'apis'),
  TokenIssuer: kind(tokenIssuerSpec, 'tokenissuers', 'tokeniss'),
  ClientTrust: kind(clientTrustSpec, 'clienttrusts', 'ctrust'),
  DeviceAuthService: kind(deviceAuthServiceSpec, 'deviceauthservices', 'devauth'),
  BackendCredential: kind(backendCredentialSpec, 'backendcredentials', 'bcred'),
  Subscription: kind(subscriptionSpec, 'subscriptions', 'apisub'),
  PolicyTest: kind(policyTestSpec, 'policytests', 'ptest'),
} as const;

export type KindName = keyof typeof KINDS;
export type SpecOf<K extends KindName> = Infer<(typeof KINDS)[K]['spec']>;
/** Any object of the group, told apart by `kind`. */
export type SallyportObject = { [K in KindName]: ParsedObject<K, SpecOf<K>> }[KindName];
export type ObjectOfKind<K extends KindName> = Extract<SallyportObject, { kind: K }>;
