/** The schemes by which webhooks are signed: the vendors' own, and the general form (P10). */
import type { HmacSignatureStep } from '../api/kinds/caller-steps.ts';
import { BODY, findAmbiguity, findIdBound, ID, parsePayload, TIMESTAMP } from '../api/signed-payload.ts';
import type { SignatureScheme } from './steps.ts';

const SHA256 = { encoding: 'Hex', algorithm: 'sha256', keyEncoding: 'Text', form: 'Bare', prefix: '' } as const;

const PRESETS: Readonly<Record<NonNullable<HmacSignatureStep['preset']>, SignatureScheme>> = {
  // docs.github.com, "Validating webhook deliveries".
  GitHub: { ...SHA256, header: 'x-hub-signature-256', prefix: 'sha256=', payload: [BODY] },
  // docs.stripe.com/webhooks, "Verify manually": the key is the text of the endpoint secret, whsec_ included.
  Stripe: { ...SHA256, header: 'stripe-signature', form: 'Stripe', payload: [TIMESTAMP, '.', BODY] },
  // docs.slack.dev, "Verifying requests from Slack".
  Slack: {
    ...SHA256,
    header: 'x-slack-signature',
    prefix: 'v0=',
    payload: ['v0:', TIMESTAMP, ':', BODY],
    timestampHeader: 'x-slack-request-timestamp',
  },
  // github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md.
  StandardWebhooks: {
    ...SHA256,
    header: 'webhook-signature',
    form: 'Versions',
    encoding: 'Base64',
    keyEncoding: 'WebhookSecret',
    payload: [ID, '.', TIMESTAMP, '.', BODY],
    timestampHeader: 'webhook-timestamp',
    idHeader: 'webhook-id',
  },
};

const ALGORITHMS = { SHA256: 'sha256', SHA1: 'sha1', SHA512: 'sha512' } as const;

/** Undefined: the text of the payload means nothing, which the parser has refused. */
export function readScheme(step: HmacSignatureStep): SignatureScheme | undefined {
  const scheme = step.preset === undefined ? readGeneral(step) : PRESETS[step.preset];
  return scheme && { ...scheme, idBound: findIdBound(scheme.payload) };
}

function readGeneral(step: HmacSignatureStep): SignatureScheme | undefined {
  const payload = step.payload === undefined ? [BODY] : parsePayload(step.payload);
  if (typeof payload === 'string' || findAmbiguity(payload) !== undefined) return undefined;
  const { prefix = '', encoding = 'Hex', algorithm = 'SHA256', keyEncoding = 'Text' } = step;
  return {
    ...{ form: 'Bare', prefix, encoding, keyEncoding, payload },
    header: (step.header ?? '').toLowerCase(),
    algorithm: ALGORITHMS[algorithm],
    ...(step.timestampHeader === undefined ? {} : { timestampHeader: step.timestampHeader.toLowerCase() }),
    ...(step.idHeader === undefined ? {} : { idHeader: step.idHeader.toLowerCase() }),
  };
}
