/** Credentials that the app gets instead of the client's. */
import { generateKeyPairSync } from 'node:crypto';
import { configMap, secret } from '../peers/sallyport.ts';
import type { Material } from '../material.ts';
import type { Ports } from '../peers/peer.ts';
import { secretKey, type StepCase } from './step-case.ts';

const BASIC = `Basic ${Buffer.from('bench:secret').toString('base64')}`;
const SECRETS = secret('credentials', { password: 'secret', sas: 'c2VjcmV0LWtleS1mb3ItdGVzdHM=' });
const AUTHORIZATION = { header: { key: 'authorization', value: BASIC }, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' };

const signingKey = (): string =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();

export const createCredentialCases = ({ ca }: Material, { deviceAuth }: Ports): readonly StepCase[] => [
  {
    name: 'basic',
    sallyport: {
      credential: { basic: { username: { value: 'bench' }, password: secretKey('credentials', 'password') } },
      objects: [SECRETS],
    },
    haproxy: [`http-request set-header authorization "${BASIC}"`],
    envoy: { route: { request_headers_to_add: [AUTHORIZATION] } },
  },
  {
    name: 'sharedAccessSignature',
    sallyport: {
      credential: {
        sharedAccessSignature: {
          resourceUri: { value: 'https://bench.servicebus.windows.net/orders' },
          keyName: { value: 'SendPolicy' },
          key: secretKey('credentials', 'sas'),
        },
      },
    },
  },
  {
    name: 'signedContext',
    sallyport: {
      credential: { signedContext: { audience: 'bench', key: secretKey('context', 'key') } },
      objects: [secret('context', { key: signingKey() })],
    },
  },
  {
    name: 'oauth2ClientCredentials, token at hand',
    sallyport: {
      credential: {
        oauth2ClientCredentials: {
          tokenUrl: `https://device-auth.bench.svc:${deviceAuth}/token`,
          clientId: { value: 'bench' },
          clientSecret: secretKey('credentials', 'password'),
          trust: { configMapKeyRef: { name: 'token-ca', key: 'ca.crt' } },
        },
      },
      objects: [configMap('token-ca', { 'ca.crt': ca })],
    },
  },
];
