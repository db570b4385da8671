/** jwt, clientCertificate, anyOf and deviceAuth: each row at five scopes, enforced, audited and explained. E2, E3, P1–P3. */
import { describe } from 'node:test';
import { NOW, token, verifiedCertificate } from '../../src/decision/testing/fakes.ts';
import { testRows, type Row } from './step-table.ts';

const BEARER = { headers: [['Authorization', 'Bearer good']] } as const;
const good = { token: () => token({ roles: ['admin'], scope: 'read write', tier: 'gold' }) };
const refused = (reason: 'TokenSignatureInvalid' | 'TokenKeyNotFound' | 'TokenIssuerNotAllowed') => ({
  token: () => ({ state: 'refused', reason }) as const,
});
const jwt = (more = ''): string => `request: [{name: s, jwt: {issuers: [corp], audiences: ["api://fleet"]${more}}}]`;

describe('jwt', () => {
  const claim = (text: string): string => jwt(`, requiredClaims: [${text}]`);
  testRows({
    'a good token passes, and the app does not see it': {
      policy: jwt(),
      request: BEARER,
      evidence: good,
      answer: 'Permit',
      sent: { authorization: [] },
    },
    'a token that is forwarded is seen by the app': {
      policy: jwt(', forwardToken: true'),
      request: BEARER,
      evidence: good,
      answer: 'Permit',
      sent: {},
    },
    'no token is 401 TokenNotPresent': { policy: jwt(), evidence: good, answer: '401 TokenNotPresent p/s' },
    'another scheme is no token': {
      policy: jwt(),
      request: { headers: [['Authorization', 'Basic Z29vZA==']] },
      evidence: good,
      answer: '401 TokenNotPresent p/s',
    },
    'the scheme is read in any case': {
      policy: jwt(),
      request: { headers: [['Authorization', 'bEARER good']] },
      evidence: good,
      answer: 'Permit',
    },
    'two of them are 400 DuplicateCredential': {
      policy: jwt(', from: [{header: X-Token}]'),
      request: {
        headers: [
          ['X-Token', 'good'],
          ['x-token', 'good'],
        ],
      },
      evidence: good,
      answer: '400 DuplicateCredential p/s',
    },
    'two places that are filled are 400 alike': {
      policy: jwt(', from: [{header: X-Token}, {query: token}]'),
      request: { headers: [['X-Token', 'good']], query: 'token=good' },
      evidence: good,
      answer: '400 DuplicateCredential p/s',
    },
    'a signature by another key is 401': {
      policy: jwt(),
      request: BEARER,
      evidence: refused('TokenSignatureInvalid'),
      answer: '401 TokenSignatureInvalid p/s',
    },
    'keys that cannot be had are 503, never 401': {
      policy: jwt(),
      request: BEARER,
      evidence: { token: () => ({ state: 'undecided', reason: 'KeysUnavailable' }) },
      answer: '503 KeysUnavailable p/s',
    },
    'another audience is 401': {
      policy: jwt(),
      request: BEARER,
      evidence: { token: () => token({ aud: 'api://other' }) },
      answer: '401 TokenAudienceNotAllowed p/s',
    },
    'one that ended, the skew included, is 401 TokenExpired': {
      policy: jwt(),
      request: BEARER,
      evidence: { token: () => token({}, { expiresAt: NOW - 30_001 }) },
      answer: '401 TokenExpired p/s',
    },
    'one that ended within the skew passes': {
      policy: jwt(),
      request: BEARER,
      evidence: { token: () => token({}, { expiresAt: NOW - 29_999 }) },
      answer: 'Permit',
    },
    'one that begins later is 401 TokenNotYetValid': {
      policy: jwt(),
      request: BEARER,
      evidence: { token: () => token({}, { notBefore: NOW + 30_001 }) },
      answer: '401 TokenNotYetValid p/s',
    },
    'a claim that is wanted and missing is 401 TokenClaimNotFound': {
      policy: claim('{name: clientId}'),
      request: BEARER,
      evidence: good,
      answer: '401 TokenClaimNotFound p/s',
    },
    'any of the values is enough': {
      policy: claim('{name: roles, match: Any, values: [owner, admin]}'),
      request: BEARER,
      evidence: good,
      answer: 'Permit',
    },
    'all of the values are needed': {
      policy: claim('{name: roles, match: All, values: [owner, admin]}'),
      request: BEARER,
      evidence: good,
      answer: '401 TokenClaimNotAllowed p/s',
    },
    'a scope that lacks the value is 403 InsufficientScope': {
      policy: claim('{name: scope, match: Any, values: [delete]}'),
      request: BEARER,
      evidence: good,
      answer: '403 InsufficientScope p/s',
    },
    'a claim becomes a header': {
      policy: jwt(', claimHeaders: {x-tier: tier}'),
      request: { headers: [...BEARER.headers, ['X-Tier', 'forged']] },
      evidence: good,
      answer: 'Permit',
      sent: { authorization: [], 'x-tier': ['gold'] },
    },
    'a token bound to a certificate needs that certificate (RFC 8705)': {
      policy: jwt(', boundToCertificate: true'),
      request: BEARER,
      evidence: {
        ...{ token: () => token({ cnf: { 'x5t#S256': 'mine' } }), binding: () => 'another' },
      },
      answer: '401 TokenBindingMismatch p/s',
    },
    'with it, it passes': {
      policy: jwt(', boundToCertificate: true'),
      request: BEARER,
      evidence: { token: () => token({ cnf: { 'x5t#S256': 'mine' } }), binding: () => 'mine' },
      answer: 'Permit',
    },
  });
});

describe('clientCertificate', () => {
  const certificate = (more = ''): string => `request: [{name: s, clientCertificate: {trust: devices${more}}}]`;
  const identities = (text: string): string => certificate(`, identities: [${text}]`);
  const verified = { certificate: () => verifiedCertificate() };
  const notAllowed = '403 ClientCertificateIdentityNotAllowed p/s';
  const row = (policy: string, answer: string): Row => ({ policy, evidence: verified, answer });
  testRows({
    'a good one passes': row(certificate(), 'Permit'),
    'none is 401': { policy: certificate(), answer: '401 ClientCertificateNotPresent p/s' },
    'one of another CA is refused': {
      policy: certificate(),
      evidence: { certificate: () => ({ state: 'refused', reason: 'ClientCertificateUntrusted' }) },
      answer: '403 ClientCertificateUntrusted p/s',
    },
    'one that is revoked is refused': {
      policy: certificate(),
      evidence: { certificate: () => ({ state: 'refused', reason: 'ClientCertificateRevoked' }) },
      answer: '403 ClientCertificateRevoked p/s',
    },
    'a revocation list that is missing is 503': {
      policy: certificate(),
      evidence: { certificate: () => ({ state: 'undecided', reason: 'RevocationUnavailable' }) },
      answer: '503 RevocationUnavailable p/s',
    },
    'its subject is the one that is wanted': row(identities('{commonName: robot-7}'), 'Permit'),
    'its subject is another': row(identities('{commonName: robot-8}'), notAllowed),
    'all fields of an identity are wanted': row(identities('{commonName: robot-7, serialNumber: "1"}'), notAllowed),
    'one of several identities is enough': row(identities('{commonName: x}, {commonName: robot-7}'), 'Permit'),
    'a URI by its beginning': row(identities('{subjectAltName: {uri: {prefix: "urn:device:"}}}'), 'Permit'),
    'a URI that begins otherwise': row(identities('{subjectAltName: {uri: {prefix: "urn:robot:"}}}'), notAllowed),
  });
});

describe('anyOf', () => {
  const either = `request: [{name: s, anyOf: [{jwt: {issuers: [corp], audiences: ["api://fleet"]}}, {clientCertificate: {trust: devices}}]}]`;
  testRows({
    'a token passes': { policy: either, request: BEARER, evidence: good, answer: 'Permit' },
    'a certificate passes': {
      policy: either,
      evidence: { certificate: () => verifiedCertificate() },
      answer: 'Permit',
    },
    'a bad token does not spoil a good certificate (E2)': {
      policy: either,
      request: BEARER,
      evidence: { ...refused('TokenSignatureInvalid'), certificate: () => verifiedCertificate() },
      answer: 'Permit',
    },
    'neither: the first alternative’s own reason': { policy: either, answer: '401 TokenNotPresent p/s' },
    'the reason of what was presented': {
      policy: either,
      evidence: { certificate: () => ({ state: 'refused', reason: 'ClientCertificateExpired' }) },
      answer: '403 ClientCertificateExpired p/s',
    },
    'one that could not be decided makes it 503': {
      policy: either,
      request: BEARER,
      evidence: {
        ...refused('TokenSignatureInvalid'),
        certificate: () => ({ state: 'undecided', reason: 'RevocationUnavailable' }),
      },
      answer: '503 RevocationUnavailable p/s',
    },
    'a token sent twice is 400, whatever else was sent': {
      policy: either.replace('"api://fleet"]', '$&, from: [{header: X-Token}]'),
      request: {
        headers: [
          ['X-Token', 'good'],
          ['X-Token', 'good'],
        ],
      },
      evidence: { ...good, certificate: () => verifiedCertificate() },
      answer: '400 DuplicateCredential p/s',
    },
    'anonymous passes who sends nothing (E3)': {
      policy: `request: [{name: s, anyOf: [{jwt: {issuers: [corp], audiences: ["api://fleet"]}}, {anonymous: {}}]}]`,
      answer: 'Permit',
    },
    'anonymous does not pass who sends something bad': {
      policy: `request: [{name: s, anyOf: [{jwt: {issuers: [corp], audiences: ["api://fleet"]}}, {anonymous: {}}]}]`,
      request: BEARER,
      evidence: refused('TokenKeyNotFound'),
      answer: '401 TokenKeyNotFound p/s',
    },
  });
});

describe('deviceAuth', () => {
  const device = `request:
- {name: cert, clientCertificate: {trust: devices}}
- {name: s, deviceAuth: {service: devices, deviceId: "\${params.deviceId}", certificateIdentity: "\${cert.subject.CN}"}}`;
  const asked = (
    status: number,
    body: Readonly<Record<string, unknown>> = { deviceId: 'robot-7' },
  ): NonNullable<Row['evidence']> => ({
    certificate: () => verifiedCertificate(),
    device: () => ({
      state: 'answered',
      status,
      body: Object.assign(Object.create(null) as Record<string, unknown>, body),
    }),
  });
  const row = (evidence: NonNullable<Row['evidence']>, answer: string): Row => ({ policy: device, evidence, answer });
  testRows({
    'a device that the registry knows passes': row(asked(200), 'Permit'),
    'one that it does not know is 403 DeviceNotRecognized': row(asked(404), '403 DeviceNotRecognized p/s'),
    'an answer about another device is 403': row(asked(200, { deviceId: 'robot-8' }), '403 DeviceMismatch p/s'),
    'an answer that does not say which device is 503': row(asked(200, {}), '503 DeviceAuthUnavailable p/s'),
    'an answer for which nothing is written is 503': row(asked(500), '503 DeviceAuthUnavailable p/s'),
    'no answer is 503': row({ certificate: () => verifiedCertificate() }, '503 DeviceAuthUnavailable p/s'),
    'a certificate of another device is 403 DeviceMismatch, and nobody is asked': row(
      {
        ...asked(200),
        certificate: () => verifiedCertificate({ subject: { CN: 'robot-8' } }),
        device: () => {
          throw new Error('asked');
        },
      },
      '403 DeviceMismatch p/s',
    ),
    'a revoked device is refused before anybody is asked': row(
      { ...asked(200), revocation: () => ({ state: 'refused', reason: 'DeviceRevoked' }) },
      '403 DeviceRevoked p/s',
    ),
    'a revocation list that cannot be read is 503': row(
      { ...asked(200), revocation: () => ({ state: 'undecided', reason: 'DeviceAuthUnavailable' }) },
      '503 DeviceAuthUnavailable p/s',
    ),
  });
});
