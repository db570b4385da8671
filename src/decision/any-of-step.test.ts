import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { CompiledAlternative } from '../policy/steps.ts';
import type { EvidenceSource } from './evidence.ts';
import {
  BEARER_LINE,
  certificateAlternative,
  judgeNow,
  jwtAlternative,
  permitOf,
  request,
  route,
  step,
  summary,
  token,
  verifiedCertificate,
} from './testing/fakes.ts';

const ANONYMOUS: CompiledAlternative = { type: 'anonymous' };
const JWT = jwtAlternative();
const CERT = certificateAlternative();

const good: Partial<EvidenceSource> = { token: () => token(), certificate: () => verifiedCertificate() };
const goodCertificate: Partial<EvidenceSource> = { certificate: () => verifiedCertificate() };
const refusedToken: Partial<EvidenceSource> = { token: () => ({ state: 'refused', reason: 'TokenExpired' }) };
const undecidedToken: Partial<EvidenceSource> = { token: () => ({ state: 'undecided', reason: 'KeysUnavailable' }) };
const refusedCertificate: Partial<EvidenceSource> = {
  certificate: () => ({ state: 'refused', reason: 'ClientCertificateRevoked' }),
};
const undecidedCertificate: Partial<EvidenceSource> = {
  certificate: () => ({ state: 'undecided', reason: 'RevocationUnavailable' }),
};

interface Case {
  readonly of: readonly CompiledAlternative[];
  readonly with: Partial<EvidenceSource>;
  readonly bearer?: boolean;
  /** Reason, or the kind of the caller. */
  readonly gives: string;
}

const judged = ({ of, with: source, bearer = false }: Omit<Case, 'gives'>) =>
  judgeNow(route([step({ type: 'anyOf', alternatives: of })]), {
    request: request(bearer ? [BEARER_LINE] : []),
    source,
  });

const CASES: Record<string, Case> = {
  'E2: the first that passes wins': { of: [JWT, CERT], with: good, bearer: true, gives: 'Jwt' },
  'E2: in written order': { of: [CERT, JWT], with: good, bearer: true, gives: 'ClientCertificate' },
  'E2: a bad token does not spoil a good certificate': {
    of: [JWT, CERT],
    with: { ...refusedToken, ...goodCertificate },
    bearer: true,
    gives: 'ClientCertificate',
  },
  'E2: an undecided token does not spoil a good certificate': {
    of: [JWT, CERT],
    with: { ...undecidedToken, ...goodCertificate },
    bearer: true,
    gives: 'ClientCertificate',
  },
  'E2: none passes, one undecided: 503 before any other reason': {
    of: [JWT, CERT],
    with: { ...refusedToken, ...undecidedCertificate },
    bearer: true,
    gives: 'RevocationUnavailable',
  },
  'E2: none passes: the first whose credential was presented': {
    of: [JWT, CERT],
    with: refusedCertificate,
    gives: 'ClientCertificateRevoked',
  },
  'E2: both presented: the first in written order': {
    of: [JWT, CERT],
    with: { ...refusedToken, ...refusedCertificate },
    bearer: true,
    gives: 'TokenExpired',
  },
  'E2: nothing presented: the first alternative’s own reason': {
    of: [CERT, JWT],
    with: {},
    gives: 'ClientCertificateNotPresent',
  },
  'E3: anonymous passes when nothing was presented': { of: [JWT, CERT, ANONYMOUS], with: {}, gives: 'Anonymous' },
  'E3: alone it passes always': { of: [ANONYMOUS], with: good, bearer: true, gives: 'Anonymous' },
  'E3: a bad token is not nobody': { of: [JWT, ANONYMOUS], with: refusedToken, bearer: true, gives: 'TokenExpired' },
  'E3: nor when anonymous is written first': {
    of: [ANONYMOUS, JWT],
    with: refusedToken,
    bearer: true,
    gives: 'TokenExpired',
  },
  'E3: written first it leaves a good token to its alternative': {
    of: [ANONYMOUS, JWT],
    with: good,
    bearer: true,
    gives: 'Jwt',
  },
  'E3: a bad certificate is not nobody': {
    of: [ANONYMOUS, CERT],
    with: refusedCertificate,
    gives: 'ClientCertificateRevoked',
  },
  'E3: an undecided certificate is not nobody': {
    of: [CERT, ANONYMOUS],
    with: undecidedCertificate,
    gives: 'RevocationUnavailable',
  },
  'E3: another scheme than the alternative’s is not presented': { of: [JWT, ANONYMOUS], with: {}, gives: 'Anonymous' },
};

for (const [name, { gives, ...given }] of Object.entries(CASES)) {
  test(name, () => {
    const verdict = judged(given);
    assert.equal(verdict.verdict === 'Deny' ? verdict.reason : permitOf(verdict).principal?.kind, gives);
  });
}

suite('challenges of anyOf', () => {
  const schemes = (given: Omit<Case, 'gives'>) => {
    const verdict = judged(given);
    assert.ok(verdict.verdict === 'Deny', summary(verdict));
    return verdict.challenges.map(({ scheme, parameters }) => [scheme, parameters['error']]);
  };
  test('nothing presented: all that would do, each once, in written order', () =>
    assert.deepEqual(schemes({ of: [CERT, JWT, JWT], with: {} }), [
      ['ClientCertificate', undefined],
      ['Bearer', undefined],
    ]));
  test('a bad token: its own', () =>
    assert.deepEqual(schemes({ of: [JWT, CERT], with: refusedToken, bearer: true }), [['Bearer', 'invalid_token']]));
  test('could not be decided: none', () =>
    assert.deepEqual(schemes({ of: [JWT, CERT], with: undecidedToken, bearer: true }), []));
});

test('later alternatives do not run', () => {
  let asked = 0;
  judged({
    of: [JWT, CERT],
    with: { ...good, certificate: () => ((asked += 1), verifiedCertificate()) },
    bearer: true,
  });
  assert.equal(asked, 0);
});
