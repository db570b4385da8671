import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { SILENT } from '../../src/telemetry/telemetry.ts';
import { createVerifier, hashing } from '../../src/trust/hashing.ts';
import { createRevocation } from '../../src/trust/revocation.ts';
import { parseCertificate, type Certificate } from '../../src/x509/certificate.ts';
import { Asn1Error } from '../../src/x509/der.ts';
import { describeCertificate } from '../../src/x509/facts.ts';
import { CLIENT_AUTH, MAX_SIGNATURE_CHECKS, validatePath, type PathResult } from '../../src/x509/path.ts';
import { parsePem } from '../../src/x509/pem.ts';
import { DEVIATIONS, NEED_PARTIAL_CHAIN } from './deviations.ts';

interface Case {
  readonly id: string;
  readonly validation_kind: 'CLIENT' | 'SERVER';
  readonly trusted_certs: readonly string[];
  readonly untrusted_intermediates: readonly string[];
  readonly peer_certificate: string;
  readonly validation_time: string | null;
  readonly extended_key_usage: readonly string[];
  readonly expected_result: 'SUCCESS' | 'FAILURE';
  readonly max_chain_depth: number | null;
  readonly crls: readonly string[];
}

const suite = JSON.parse(readFileSync(new URL('../vectors/x509-limbo/limbo.json', import.meta.url), 'utf8')) as {
  readonly testcases: readonly Case[];
};

const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';
/** Cases without a time of their own: any moment between their making and their end. */
const SOME_TIME = Date.parse('2026-11-01T00:00:00Z');

const deviations = new Map(DEVIATIONS.flatMap(({ is, cases }) => cases.map(id => [id, is] as const)));

const readOne = (pem: string): Certificate => {
  const [block] = parsePem(pem, 65_536);
  assert.ok(block);
  return parseCertificate(block.der);
};
/** What cannot be read is no part of a path, as in src/trust. */
const readSome = (pems: readonly string[]): Certificate[] =>
  pems.flatMap(pem => {
    try {
      return [readOne(pem)];
    } catch (error) {
      assert.ok(error instanceof Asn1Error);
      return [];
    }
  });

interface Outcome {
  readonly ok: boolean;
  readonly path: readonly Certificate[];
  readonly problem: string;
  readonly signatureChecks: number;
}

const failed = (problem: string, signatureChecks = 0): Outcome => ({ ok: false, path: [], problem, signatureChecks });

function run(test: Case, partialChain = false): Outcome {
  const now = test.validation_time === null ? SOME_TIME : Date.parse(test.validation_time);
  const verify = createVerifier();
  let signatureChecks = 0;
  let result: PathResult;
  try {
    result = validatePath({
      leaf: readOne(test.peer_certificate),
      intermediates: readSome(test.untrusted_intermediates),
      anchors: readSome(test.trusted_certs),
      now,
      purpose: test.validation_kind === 'CLIENT' ? CLIENT_AUTH : SERVER_AUTH,
      maxDepth: test.max_chain_depth === null ? 10 : test.max_chain_depth + 1,
      partialChain,
      validity: { notBefore: true, notAfter: true },
      verifySignature: (signed, issuer) => {
        signatureChecks += 1;
        return verify(signed, issuer);
      },
    });
  } catch (error) {
    assert.ok(error instanceof Asn1Error, `${test.id}: ${String(error)}`);
    return failed(error.message);
  }
  if (!result.ok) return failed(result.problem, signatureChecks);
  const revocation = checkLists(test.crls, result.path, now);
  return revocation === 'clear' ? { ...result, problem: '', signatureChecks } : failed(revocation, signatureChecks);
}

function checkLists(crls: readonly string[], path: readonly Certificate[], now: number): string {
  if (crls.length === 0) return 'clear';
  const bytes = new Map(crls.map((pem, at) => [`${at}.crl`, new TextEncoder().encode(pem)]));
  const revocation = createRevocation({ log: SILENT.log, clock: () => now, schedule: () => () => undefined });
  const secret = (at: number) => ({ secretKeyRef: { name: 'lists', key: `${at}.crl` } });
  const prepared = revocation.prepare(
    {
      key: 'limbo/limbo',
      namespace: 'limbo',
      generation: 1,
      spec: {
        anchors: [],
        partialChain: true,
        maxDepth: 10,
        validity: { notBefore: true, notAfter: true },
        sources: [],
        revocation: { mode: 'Strict', crls: crls.map((_, at) => secret(at)), leafOnly: true, refresh: 1000 },
      },
    },
    { secret: () => bytes, configMap: () => undefined },
  );
  return prepared.check(path, now);
}

describe('x509-limbo', () => {
  const outcomes = new Map<string, Outcome>();
  for (const limbo of suite.testcases) {
    const deviation = deviations.get(limbo.id);
    const expected = (limbo.expected_result === 'SUCCESS') !== (deviation !== undefined);
    test(`${limbo.id} ${expected ? 'validates' : 'is refused'}${deviation === undefined ? '' : ' (deviation)'}`, () => {
      const outcome = run(limbo);
      outcomes.set(limbo.id, outcome);
      assert.equal(outcome.ok, expected, outcome.problem);
    });
  }

  test('the list of deviations names only cases of the suite, each once, and says which way', () => {
    const ids = new Map(suite.testcases.map(({ id, expected_result }) => [id, expected_result]));
    assert.equal(deviations.size, DEVIATIONS.flatMap(({ cases }) => cases).length);
    for (const [id, is] of deviations) assert.equal(ids.get(id), is === 'accepts' ? 'FAILURE' : 'SUCCESS', id);
  });

  test('no case costs more signature checks than the bound', () => {
    for (const [id, { signatureChecks }] of outcomes) assert.ok(signatureChecks <= MAX_SIGNATURE_CHECKS, id);
  });

  test('with partialChain the cases whose anchor is no root validate too', () => {
    const needsPartialChain = suite.testcases.filter(({ id }) => NEED_PARTIAL_CHAIN.includes(id));
    assert.equal(needsPartialChain.length, NEED_PARTIAL_CHAIN.length);
    for (const limbo of needsPartialChain) assert.ok(run(limbo, true).ok, limbo.id);
  });

  test('OpenSSL finds every step of every path that we accept issued and signed by the next', () => {
    for (const [id, { path }] of outcomes) {
      const chain = path.map(({ der }) => new X509Certificate(der));
      for (const [at, issuer] of chain.slice(1).entries()) {
        const child = chain[at];
        assert.ok(child?.checkIssued(issuer) === true && child.verify(issuer.publicKey), id);
      }
    }
  });

  test('OpenSSL reads the same serial number, thumbprints and dates from every certificate that we read', () => {
    const pems = new Set(
      suite.testcases.flatMap(c => [c.peer_certificate, ...c.trusted_certs, ...c.untrusted_intermediates]),
    );
    let compared = 0;
    for (const certificate of readSome([...pems])) {
      const facts = describeCertificate(certificate, hashing);
      const peer = new X509Certificate(certificate.der);
      assert.equal(facts.serialNumber, peer.serialNumber.replace(/^0+(?=.)/, ''));
      assert.equal(facts.sha1, peer.fingerprint.replaceAll(':', ''));
      assert.equal(facts.sha256, peer.fingerprint256.replaceAll(':', ''));
      assert.equal(facts.notAfter, peer.validToDate.getTime());
      assert.equal(facts.notBefore, peer.validFromDate.getTime());
      compared += 1;
    }
    assert.ok(compared > 300, String(compared));
  });
});
