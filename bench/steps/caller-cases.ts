/** Steps that know callers by what they share with them, and rules over what is known. */
import { createHash, createHmac } from 'node:crypto';
import { kind, secret } from '../peers/sallyport.ts';
import { envoyFilter, envoyRbac, secretKey, type StepCase } from './step-case.ts';

const KEY = 'subscription-key-of-the-benchmark';
const HOOK_KEY = 'hook-key-of-the-benchmark';
const BODY = JSON.stringify({ text: 'x'.repeat(1024 - 11) });
const SIGNATURE = createHmac('sha256', HOOK_KEY).update(BODY).digest('hex');
const HASH = createHash('sha256').update(KEY).digest('hex');

const call = (name: string, ...args: readonly object[]) => ({ call_expr: { function: name, args } });
const text = (value: string) => ({ const_expr: { string_value: value } });
const select = (operand: object, field: string) => ({ select_expr: { operand, field } });
const REQUEST = { ident_expr: { name: 'request' } };

export const CALLER_CASES: readonly StepCase[] = [
  {
    name: 'subscription (Envoy: keys in plain text)',
    sallyport: {
      request: { subscription: {} },
      objects: [
        secret('subscription', { primary: HASH }),
        kind('one', 'Subscription', { primaryKeyHash: secretKey('subscription', 'primary') }),
      ],
    },
    haproxy: [
      `http-request deny deny_status 401 unless { req.hdr(ocp-apim-subscription-key),digest(sha256),hex,lower -m str ${HASH} }`,
      'http-request del-header ocp-apim-subscription-key',
    ],
    envoy: {
      filters: [
        envoyFilter('api_key_auth', 'v3.ApiKeyAuth', {
          credentials: [{ key: KEY, client: 'one' }],
          key_sources: [{ header: 'ocp-apim-subscription-key' }],
          forwarding: { hide_credentials: true },
        }),
      ],
    },
    request: { headers: { 'Ocp-Apim-Subscription-Key': KEY } },
  },
  {
    name: 'hmacSignature of a body of 1 KiB',
    sallyport: {
      request: { hmacSignature: { preset: 'GitHub', keys: [secretKey('hook', 'key')] } },
      objects: [secret('hook', { key: HOOK_KEY })],
    },
    haproxy: [
      'option http-buffer-request',
      `http-request set-var(txn.signature) req.body,hmac(sha256,${Buffer.from(HOOK_KEY).toString('base64')}),hex,lower`,
      'http-request deny deny_status 401 unless { req.hdr(x-hub-signature-256),regsub(^sha256=,),secure_memcmp(txn.signature) -m bool }',
    ],
    request: { headers: { 'X-Hub-Signature-256': `sha256=${SIGNATURE}` }, body: BODY },
    unbounded: true,
  },
  {
    name: 'requireHeader',
    sallyport: { request: { requireHeader: { name: 'X-Env', values: ['prod'] } } },
    haproxy: ['http-request deny unless { req.hdr(x-env) -m str prod }'],
    envoy: {
      filters: [envoyRbac({ permissions: [{ header: { name: 'x-env', string_match: { exact: 'prod' } } }] })],
    },
    request: { headers: { 'X-Env': 'prod' } },
  },
  {
    name: 'authorize, method and header (HAProxy: ACLs, Envoy: CEL)',
    sallyport: {
      request: {
        authorize: {
          allow: [{ name: 'prod', expression: "request.method == 'GET' && request.headers['x-env'] == 'prod'" }],
        },
      },
    },
    haproxy: ['http-request deny unless { method GET } { req.hdr(x-env) -m str prod }'],
    envoy: {
      filters: [
        envoyRbac({
          condition: call(
            '_&&_',
            call('_==_', select(REQUEST, 'method'), text('GET')),
            call('_==_', select(select(REQUEST, 'headers'), 'x-env'), text('prod')),
          ),
        }),
      ],
    },
    request: { headers: { 'X-Env': 'prod' } },
  },
];
