/** Tokens of Azure Service Bus and its kin (P11). Storage's tokens are of another make. */
import { createHmac } from 'node:crypto';
import { percentEncode } from '../policy/encoding.ts';

export interface SasInput {
  readonly resourceUri: string;
  readonly keyName: string;
  /** As text: not decoded, although it looks like Base64. */
  readonly key: string;
  /** Seconds since the epoch. */
  readonly expiry: number;
}

/**
 * The value of Authorization. What is signed is the encoded URI, a line feed and the expiry; `sr`, `sig` and `skn` are
 * percent-encoded by RFC 3986, so that `!'()*` are too. Source: Azure Event Hubs, "Generate SAS token".
 */
export function computeSasToken({ resourceUri, keyName, key, expiry }: SasInput): string {
  const resource = percentEncode(resourceUri);
  const signature = createHmac('sha256', key).update(`${resource}\n${expiry}`, 'utf8').digest('base64');
  return `SharedAccessSignature sr=${resource}&sig=${percentEncode(signature)}&se=${expiry}&skn=${percentEncode(keyName)}`;
}
