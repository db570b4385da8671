/** Compiled steps: closed unions, everything that can be done at load is done. */
import type { ObjectKey } from '../api/object.ts';
import type { BodyRewrite } from '../api/kinds/flow-steps.ts';
import type { CertificateIdentity } from '../api/kinds/steps.ts';
import type { AddressFilter } from './address-filter.ts';
import type { IdBound, PayloadPart } from '../api/signed-payload.ts';
import type { Expression, Template } from './expression.ts';
import type { DeviceServicePlan, Origin } from './model.ts';

export interface StepHead {
  readonly name: string;
  readonly origin: Origin;
  /** `policy/step`, as logs and metrics write it. */
  readonly label: string;
  readonly when?: Expression;
  /** S6: its target was widened to the whole Api; it must pass but does not count as authentication. */
  readonly widened: boolean;
  /** Of a step within a choose: it runs only if that one took this branch. */
  readonly branch?: Branch;
}

/** Which choose; the same object in every step of it. */
export interface Choice {
  readonly name: string;
}

export interface Branch {
  readonly choice: Choice;
  /** Place of the branch; `otherwise` is the one after the last condition. */
  readonly at: number;
}

export type CompiledStep = StepHead & StepBody;

export type StepBody =
  | { readonly type: 'jwt'; readonly jwt: CompiledJwt }
  | { readonly type: 'clientCertificate'; readonly clientCertificate: CompiledCertificate }
  | { readonly type: 'subscription'; readonly subscription: CompiledSubscription }
  | { readonly type: 'hmacSignature'; readonly hmacSignature: CompiledSignature }
  | { readonly type: 'anyOf'; readonly alternatives: readonly CompiledAlternative[] }
  | { readonly type: 'deviceAuth'; readonly deviceAuth: CompiledDeviceAuth }
  | { readonly type: 'authorize'; readonly allow?: readonly CompiledRule[]; readonly deny: readonly CompiledRule[] }
  | { readonly type: 'ipFilter'; readonly ipFilter: AddressFilter }
  | { readonly type: 'rateLimit'; readonly rateLimit: CompiledRateLimit }
  | { readonly type: 'quota'; readonly quota: CompiledQuota }
  | { readonly type: 'concurrency'; readonly concurrency: CompiledConcurrency }
  | { readonly type: 'requireHeader'; readonly requireHeader: CompiledRequireHeader }
  | { readonly type: 'setHeaders'; readonly setHeaders: readonly CompiledHeaderSetting[] }
  | { readonly type: 'removeHeaders'; readonly removeHeaders: readonly string[] }
  | { readonly type: 'cors'; readonly cors: CompiledCors }
  | { readonly type: 'setVariables'; readonly variables: readonly CompiledVariable[] }
  | { readonly type: 'choose'; readonly choose: CompiledChoose }
  | { readonly type: 'respond'; readonly respond: CompiledRespond }
  /** A policy that is invalid and has no last good generation (S6): always 503 PolicyInvalid. */
  | { readonly type: 'invalid' };

export type CompiledAlternative =
  | { readonly type: 'jwt'; readonly jwt: CompiledJwt }
  | { readonly type: 'clientCertificate'; readonly clientCertificate: CompiledCertificate }
  | { readonly type: 'subscription'; readonly subscription: CompiledSubscription }
  | { readonly type: 'hmacSignature'; readonly hmacSignature: CompiledSignature }
  | { readonly type: 'anonymous' };

export type TokenLocation =
  | { readonly in: 'header'; readonly name: string; readonly scheme?: string }
  | { readonly in: 'query'; readonly name: string }
  | { readonly in: 'cookie'; readonly name: string };

export interface CompiledJwt {
  /** Resolved TokenIssuer keys. */
  readonly issuers: readonly ObjectKey[];
  readonly from: readonly TokenLocation[];
  /** Absent: [Any]. */
  readonly audiences?: ReadonlySet<string>;
  readonly requiredClaims: readonly CompiledClaim[];
  readonly forwardToken: boolean;
  readonly claimHeaders: readonly { readonly name: string; readonly claim: string }[];
  readonly boundToCertificate: boolean;
}

export interface CompiledSubscription {
  /** Header first, then the query parameter, if there is one. */
  readonly from: readonly TokenLocation[];
}

export interface CompiledSignature {
  /** What is signed and how, whoever's scheme it is. */
  readonly scheme: SignatureScheme;
  /** `policy/step`: `caller.id` of expressions. */
  readonly id: string;
  readonly keys: readonly { readonly secret: ObjectKey; readonly dataKey: string }[];
  readonly toleranceMs: number;
  readonly maxBody: number;
  /** Names the memory of what was seen over reloads: policy and step. Absent: replays pass. */
  readonly memory?: string;
}

export interface SignatureScheme {
  /** Lower-case name of the header that carries the signature. */
  readonly header: string;
  /**
   * What else stands in it. Bare: the prefix and one signature. Stripe: `t=…,v1=…` with the time, v1 as often as there are
   * keys. Versions: `v1,…` separated by spaces (Standard Webhooks).
   */
  readonly form: 'Bare' | 'Stripe' | 'Versions';
  readonly prefix: string;
  readonly encoding: 'Hex' | 'Base64';
  readonly algorithm: 'sha1' | 'sha256' | 'sha512';
  /** WebhookSecret: Base64 behind `whsec_`. */
  readonly keyEncoding: 'Text' | 'Base64' | 'Hex' | 'WebhookSecret';
  /** It can be cut into its parts in one way only (findAmbiguity). */
  readonly payload: readonly PayloadPart[];
  /** Where there is an id: what it must not hold. */
  readonly idBound?: IdBound | undefined;
  /** Lower case. */
  readonly timestampHeader?: string;
  readonly idHeader?: string;
}

export interface CompiledClaim {
  readonly name: string;
  readonly match: 'All' | 'Any';
  readonly values?: readonly string[];
  readonly separator?: string;
}

export interface CompiledCertificate {
  readonly trust: ObjectKey;
  readonly identities?: readonly CertificateIdentity[];
}

export interface CompiledDeviceAuth {
  readonly service: ObjectKey;
  /** That service as it is in force: the evaluator judges the answer by its allow and deny (P3). */
  readonly plan: DeviceServicePlan;
  readonly deviceId: Template;
  readonly certificateIdentity?: Template;
}

export interface CompiledRule {
  readonly name: string;
  readonly expression: Expression;
  readonly message?: string;
}

export interface CompiledCount {
  /** Identifies the counters over reloads: policy key and step name (P7). */
  readonly counter: string;
  readonly key: Template;
  readonly scope: 'Pod' | 'Workload' | 'Shared';
}

export interface CompiledRateLimit extends CompiledCount {
  readonly calls: number;
  readonly periodMs: number;
  readonly maxKeys: number;
  readonly headers: boolean;
  /** Over `response`: admitted by looking, counted when it is true. */
  readonly countWhen?: Expression;
}

export interface CompiledQuota extends CompiledCount {
  readonly calls: number;
  readonly periodMs: number;
  readonly maxKeys: number;
  readonly countWhen?: Expression;
}

export interface CompiledConcurrency extends CompiledCount {
  readonly max: number;
}

export interface CompiledRequireHeader {
  readonly name: string;
  readonly values?: readonly string[];
  readonly ignoreCase: boolean;
}

export interface CompiledHeaderSetting {
  /** As written on the wire. */
  readonly name: string;
  readonly lower: string;
  readonly ifExists: 'Override' | 'Skip' | 'Append';
  /** Renders value, pairs or dictionary, encoded for its place. */
  readonly value: Template;
  /** S4: a sealed broader policy owns this header, so the item has no effect and is reported Overridden. */
  readonly overridden: boolean;
}

export interface CompiledRespond {
  readonly status: number;
  readonly headers: readonly { readonly name: string; readonly value: Template }[];
  readonly contentType: string;
  readonly body: Template;
}

export interface CompiledChoose {
  readonly choice: Choice;
  /** In order; the steps of the branches stand behind it in the pipeline. */
  readonly conditions: readonly Expression[];
  /** There is a branch for when none is true. */
  readonly otherwise: boolean;
}

export interface CompiledVariable {
  readonly name: string;
  readonly value: Template;
}

export interface CompiledCors {
  readonly origins: ReadonlySet<string> | 'any';
  /** Lists as they are sent; absent: none. */
  readonly methods: string | undefined;
  readonly headers: string | undefined;
  readonly expose: string | undefined;
  readonly credentials: boolean;
  /** Seconds. */
  readonly maxAge: string;
}

/** Response steps narrowest first (S3). Static parts are merged when the policy loads. */
export interface ResponsePlan {
  readonly steps: readonly CompiledResponseStep[];
  /** Some step reads expressions or rewrites bodies; false: `steps` reduce to fixed removals and settings. */
  readonly dynamic: boolean;
}

export type CompiledResponseStep = StepHead & ResponseStepBody;

export type ResponseStepBody =
  | { readonly type: 'hideBackend'; readonly hideBackend: CompiledHideBackend }
  | { readonly type: 'setHeaders'; readonly setHeaders: readonly CompiledHeaderSetting[] }
  | { readonly type: 'removeHeaders'; readonly removeHeaders: readonly string[] }
  | { readonly type: 'replaceText'; readonly replaceText: CompiledReplaceText }
  | { readonly type: 'choose'; readonly choose: CompiledChoose }
  | { readonly type: 'respond'; readonly respond: CompiledRespond };

/** Texts in UTF-8, one character a byte. */
export interface CompiledReplaceText {
  readonly from: string;
  readonly to: string;
  readonly bodies: BodyRewrite;
}

export interface CompiledHideBackend {
  /** Lower-case names; a trailing `*` is a prefix (x-envoy-*). Built-in list, plus removeHeaders, less keepHeaders. */
  readonly removeHeaders: readonly string[];
  /** Lower-case names that a prefix of removeHeaders covers and that stay all the same. */
  readonly keepHeaders: readonly string[];
  /** Both of these by lower-case name: createHeaderMatcher(removeHeaders, keepHeaders). */
  readonly removes: (lower: string) => boolean;
  /** Back-end authorities and origins, longest first. */
  readonly from: readonly string[];
  /** Renders to an origin: scheme://authority. Absent: the origin that the client named itself, with its port. */
  readonly to?: Template;
  readonly bodies?: BodyRewrite;
  readonly errorBodies: 'Replace' | 'Keep';
}
