import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createAuthority } from '../demo/pki.ts';
import { parseForwarded, type ForwardedFormat } from './forwarded-header.ts';

const root = createAuthority({ name: 'root' });
const issuing = root.createIntermediate({ name: 'issuing' });
const device = issuing.issue({ subject: 'robot-7' });
const other = issuing.issue({ subject: 'robot-8' });

const base64 = ({ der }: { readonly der: Uint8Array }) => Buffer.from(der).toString('base64');
const encoded = encodeURIComponent(device.certificatePem);
const encodedOther = encodeURIComponent(other.certificatePem);
const encodedChain = encodeURIComponent(device.certificatePem + issuing.certificatePem);

function read(format: ForwardedFormat, lines: readonly string[], chainLines: readonly string[] = []): string {
  const parsed = parseForwarded(format, lines, chainLines);
  if (typeof parsed === 'string') return parsed;
  const known = [device, other, issuing];
  const name = (der: Uint8Array) =>
    ['device', 'other', 'issuing'][known.findIndex(k => Buffer.compare(k.der, der) === 0)];
  return parsed.map(der => name(der) ?? 'unknown').join(' ');
}

const CASES: Record<string, [ForwardedFormat, string[], string, string[]?]> = {
  'RFC 9440: the certificate': ['RFC9440', [`:${base64(device)}:`], 'device'],
  'RFC 9440: the chain beside it': ['RFC9440', [`:${base64(device)}:`], 'device issuing', [`:${base64(issuing)}:`]],
  'RFC 9440: a chain over two lines': [
    'RFC9440',
    [`:${base64(device)}:`],
    'device issuing other',
    [`:${base64(issuing)}:`, ` :${base64(other)}: `],
  ],
  'RFC 9440: a chain without a certificate is none': ['RFC9440', [], 'none', [`:${base64(issuing)}:`]],
  'RFC 9440: two lines of certificates': ['RFC9440', [`:${base64(device)}:`, `:${base64(other)}:`], 'malformed'],
  'RFC 9440: without colons': ['RFC9440', [base64(device)], 'malformed'],
  'RFC 9440: with a parameter': ['RFC9440', [`:${base64(device)}:;a=1`], 'malformed'],
  'RFC 9440: a broken chain spoils the whole': ['RFC9440', [`:${base64(device)}:`], 'malformed', [':!:']],
  'RFC 9440: eleven certificates': [
    'RFC9440',
    [`:${base64(device)}:`],
    'malformed',
    [Array.from({ length: 10 }, () => `:${base64(issuing)}:`).join(', ')],
  ],
  'XFCC: Cert': ['XFCC', [`By=spiffe://a;Hash=00;Cert="${encoded}";Subject="CN=robot-7,O=\\"x\\"";URI=`], 'device'],
  'XFCC: Chain, which begins with the leaf': ['XFCC', [`Cert="${encoded}";Chain="${encodedChain}"`], 'device issuing'],
  'XFCC: Chain alone': ['XFCC', [`Hash=00;Chain="${encodedChain}"`], 'device issuing'],
  'XFCC: Cert and Chain that differ': ['XFCC', [`Cert="${encodedOther}";Chain="${encodedChain}"`], 'malformed'],
  'XFCC: the last element, which the peer itself wrote': [
    'XFCC',
    [`Cert="${encodedOther}",Cert="${encoded}"`],
    'device',
  ],
  'XFCC: the last line is the last element': ['XFCC', [`Cert="${encodedOther}"`, `Cert="${encoded}"`], 'device'],
  'XFCC: the last element names no certificate': ['XFCC', [`Cert="${encodedOther}",Hash=00;URI=spiffe://a`], 'none'],
  'XFCC: two certificates in one element': ['XFCC', [`Cert="${encodedOther}";Cert="${encoded}"`], 'malformed'],
  'XFCC: a quote left open by a client, to swallow what the proxy appends': [
    'XFCC',
    [`Cert="${encodedOther}";Subject="`, `By=spiffe://a;Cert="${encoded}";Subject="CN=robot-7"`],
    'malformed',
  ],
  'XFCC: a quote within a bare value': ['XFCC', [`URI=a"b;Cert="${encoded}"`], 'malformed'],
  'XFCC: an empty last element': ['XFCC', [`Cert="${encodedOther}",`], 'malformed'],
  'URL-encoded PEM: with + left as it is': [
    'UrlEncodedPEM',
    [device.certificatePem.replaceAll('\n', '%0A').replaceAll(' ', '%20')],
    'device',
  ],
  'URL-encoded PEM: a chain': ['UrlEncodedPEM', [encodedChain], 'device issuing'],
  'URL-encoded PEM: twice': ['UrlEncodedPEM', [encodedOther, encoded], 'malformed'],
  'URL-encoded PEM: a broken escape': ['UrlEncodedPEM', [`${encoded}%2`], 'malformed'],
  'URL-encoded PEM: a private key': ['UrlEncodedPEM', [encodeURIComponent(device.keyPem)], 'malformed'],
  'URL-encoded PEM: no PEM at all': ['UrlEncodedPEM', ['hello'], 'malformed'],
  'base64 DER': ['Base64DER', [base64(device)], 'device'],
  'base64 DER: a chain, separated by commas': ['Base64DER', [`${base64(device)},${base64(issuing)}`], 'device issuing'],
  'base64 DER: twice': ['Base64DER', [base64(other), base64(device)], 'malformed'],
  'base64 DER: an empty part': ['Base64DER', [`${base64(device)},`], 'malformed'],
  'no line is none': ['Base64DER', [], 'none'],
  'an empty line is none': ['UrlEncodedPEM', [''], 'none'],
  'too much text': ['Base64DER', ['A'.repeat(300_000)], 'malformed'],
};

describe('parseForwarded', () => {
  for (const [what, [format, lines, expected, chain]] of Object.entries(CASES)) {
    test(`${what}: ${expected}`, () => assert.equal(read(format, lines, chain), expected));
  }

  test('never throws, whatever the header holds', () => {
    const formats = fc.constantFrom<ForwardedFormat>('RFC9440', 'XFCC', 'UrlEncodedPEM', 'Base64DER');
    const piece = fc.constantFrom(
      'Cert=',
      'Chain=',
      '"',
      '\\',
      ',',
      ';',
      ':',
      '%',
      '%41',
      '=',
      'AAAA',
      '-----BEGIN A-----',
      ' ',
    );
    fc.assert(
      fc.property(formats, fc.array(piece, { maxLength: 20 }), (format, pieces) => {
        parseForwarded(format, [pieces.join('')], []);
      }),
      { numRuns: 300 },
    );
  });
});
