/** The request of a test's case as the data path would see it, credentials where the pipeline's steps read them. */
import type { PolicyTestCase } from '../api/kinds/policy-test.ts';
import type { HeaderFields } from '../http/head.ts';
import type { Pipeline } from '../policy/model.ts';
import type { RequestView } from '../policy/request.ts';
import type { CompiledStep, SignatureScheme, TokenLocation } from '../policy/steps.ts';

export type Given = PolicyTestCase['given'];

/** Stands where the token would: compact form, and nothing that a verifier would take. */
export const GIVEN_TOKEN = 'Z2l2ZW4.Z2l2ZW4.Z2l2ZW4';

type Line = readonly [name: string, value: string];

/** What the pipeline's authentication steps read, in written order. */
function listTokenLocations(steps: readonly CompiledStep[], issuer: string): readonly TokenLocation[] {
  return steps.flatMap(step => {
    const jwts =
      step.type === 'jwt'
        ? [step.jwt]
        : step.type === 'anyOf'
          ? step.alternatives.flatMap(alternative => (alternative.type === 'jwt' ? [alternative.jwt] : []))
          : [];
    return jwts.filter(({ issuers }) => issuers.includes(issuer)).flatMap(({ from }) => from.slice(0, 1));
  });
}

const ANYWHERE: TokenLocation = { in: 'header', name: 'Authorization', scheme: 'Bearer' };

interface Placed {
  readonly headers: readonly Line[];
  readonly query: readonly Line[];
}

/** No step that takes the issuer: the usual place, where the other steps see a token that they do not take. */
function placeToken({ steps }: Pipeline, issuer: string): Placed {
  const location = listTokenLocations(steps, issuer)[0] ?? ANYWHERE;
  switch (location.in) {
    case 'header': {
      const scheme = location.scheme === undefined ? '' : `${location.scheme} `;
      return { headers: [[location.name, scheme + GIVEN_TOKEN]], query: [] };
    }
    case 'query':
      return { headers: [], query: [[location.name, GIVEN_TOKEN]] };
    case 'cookie':
      return { headers: [['Cookie', `${location.name}=${GIVEN_TOKEN}`]], query: [] };
  }
}

/** Stands for the key of the Subscription that the case gives. */
export const GIVEN_KEY = 'Z2l2ZW4ta2V5';

/** Where the first subscription step reads; nowhere without one. */
function placeKey({ steps }: Pipeline): readonly Line[] {
  const locations = steps.flatMap(step => {
    const parts = step.type === 'anyOf' ? step.alternatives : step.type === 'subscription' ? [step] : [];
    return parts.flatMap(part => (part.type === 'subscription' ? part.subscription.from : []));
  });
  const [location] = locations;
  return location === undefined ? [] : [[location.name, GIVEN_KEY]];
}

/** Where the first hmacSignature step reads, in its form; whether it is valid is for the case to say. */
function placeSignature({ steps }: Pipeline, now: number): readonly Line[] {
  const schemes = steps.flatMap(step => {
    const parts = step.type === 'anyOf' ? step.alternatives : step.type === 'hmacSignature' ? [step] : [];
    return parts.flatMap(part => (part.type === 'hmacSignature' ? [part.hmacSignature.scheme] : []));
  });
  const [scheme] = schemes;
  return scheme === undefined ? [] : writeSignature(scheme, String(Math.floor(now / 1000)));
}

const BYTES = { sha1: 20, sha256: 32, sha512: 64 } as const;

function writeSignature(scheme: SignatureScheme, timestamp: string): readonly Line[] {
  const zeros = new Uint8Array(BYTES[scheme.algorithm]);
  const text = Buffer.from(zeros).toString(scheme.encoding === 'Hex' ? 'hex' : 'base64');
  const forms = { Bare: scheme.prefix + text, Stripe: `t=${timestamp},v1=${text}`, Versions: `v1,${text}` };
  return [
    [scheme.header, forms[scheme.form]],
    ...(scheme.timestampHeader === undefined ? [] : [[scheme.timestampHeader, timestamp] as const]),
    ...(scheme.idHeader === undefined ? [] : [[scheme.idHeader, 'given'] as const]),
  ];
}

/** `issuerKey`: the token's TokenIssuer, in full. */
export function createGivenRequest(
  given: Given,
  {
    pipeline,
    path,
    host,
    scheme,
    issuerKey,
    now,
  }: {
    readonly pipeline: Pipeline;
    readonly path: string;
    readonly host: string;
    readonly scheme: 'http' | 'https';
    readonly issuerKey: string | undefined;
    /** Milliseconds since the epoch. */
    readonly now: number;
  },
): RequestView {
  const { request, sourceIp } = given;
  const placed = issuerKey === undefined ? { headers: [], query: [] } : placeToken(pipeline, issuerKey);
  const keys = given.subscription === undefined ? [] : placeKey(pipeline);
  const signature = given.signature === undefined ? [] : placeSignature(pipeline, now);
  const body = new TextEncoder().encode(request.body ?? '');
  const own: readonly Line[] = Object.entries(request.headers ?? {});
  const length: readonly Line[] = body.length === 0 ? [] : [['Content-Length', String(body.length)]];
  const query = [...Object.entries(request.query ?? {}), ...placed.query];
  return {
    method: request.method,
    path,
    query: query.map(pair => pair.map(encodeURIComponent).join('=')).join('&'),
    host,
    scheme,
    headers: makeFields([['Host', host], ...own, ...placed.headers, ...keys, ...signature, ...length]),
    sourceIp,
    size: body.length,
    fromTrustedPeer: false,
  };
}

export const makeFields = (lines: readonly Line[]): HeaderFields => ({
  names: lines.map(([name]) => name),
  lower: lines.map(([name]) => name.toLowerCase()),
  values: lines.map(([, value]) => value),
});
