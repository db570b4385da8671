/**
 * Every case of x509-limbo in which we differ from the suite, each with why. A case that is not here must end as the suite
 * says. `accepts`: the suite demands a failure and we validate; `refuses`: the other way round.
 */
export interface Deviation {
  readonly is: 'accepts' | 'refuses';
  readonly why: string;
  readonly cases: readonly string[];
}

/** Their anchor is no root, so they need `partialChain: true`; the suite runs with the default, false, as OpenSSL does. */
export const NEED_PARTIAL_CHAIN: readonly string[] = ['cve::cve-2024-0567', 'rfc5280::root-and-intermediate-swapped'];

export const DEVIATIONS: readonly Deviation[] = [
  {
    is: 'accepts',
    why:
      'The name of a server is compared by whoever dialled it. A device is dialled by nobody: its names are facts, compared ' +
      'exactly by `identities` and expressions, and many device certificates have none but CN. The path itself is valid.',
    cases: [
      'webpki::cn::ipv4-hex-mismatch',
      'webpki::cn::ipv4-leading-zeros-mismatch',
      'webpki::cn::ipv6-uppercase-mismatch',
      'webpki::cn::ipv6-uncompressed-mismatch',
      'webpki::cn::ipv6-non-rfc5952-mismatch',
      'webpki::cn::punycode-not-in-san',
      'webpki::cn::utf8-vs-punycode-mismatch',
      'webpki::cn::not-in-san',
      'webpki::cn::case-mismatch',
      'webpki::san::mismatch-domain-san',
      'webpki::san::mismatch-subdomain-san',
      'webpki::san::mismatch-subdomain-apex-san',
      'webpki::san::mismatch-apex-subdomain-san',
      'webpki::san::public-suffix-wildcard-san',
      'webpki::san::public-suffix-multi-label-wildcard-san',
      'webpki::san::public-suffix-private-namespace-wildcard-san',
      'webpki::san::wildcard-embedded-leftmost-san',
      'webpki::san::wildcard-not-in-leftmost-san',
      'webpki::san::wildcard-match-across-labels-san',
      'webpki::san::wildcard-embedded-ulabel-san',
      'webpki::san::no-san',
      'webpki::san::san-wildcard-only',
      'webpki::san::san-wildcard-only-tld',
    ],
  },
  {
    is: 'accepts',
    why:
      'The text of a dNSName is compared as a whole and resolved by nobody, so an underscore or an address in it names ' +
      'nothing else than itself. Below a CA with DNS constraints names that are no host names are refused.',
    cases: ['rfc5280::san::underscore-dns', 'rfc5280::san::ip-in-dns'],
  },
  {
    is: 'accepts',
    why:
      'Key identifiers only help to find a path (RFC 5280 4.2.1.1). Private CAs made with common tools leave them out or ' +
      'write the long form; what decides is name and signature. Where both sides have one, they must agree.',
    cases: [
      'rfc5280::aki::leaf-missing-aki',
      'rfc5280::aki::intermediate-missing-aki',
      'rfc5280::ski::root-missing-ski',
      'rfc5280::ski::intermediate-missing-ski',
      'webpki::aki::root-with-aki-missing-keyidentifier',
      'webpki::aki::root-with-aki-authoritycertissuer',
      'webpki::aki::root-with-aki-authoritycertserialnumber',
      'webpki::aki::root-with-aki-all-fields',
    ],
  },
  {
    is: 'accepts',
    why:
      'Whether a constraint that we enforce is marked critical changes nothing for us: criticality tells those who cannot ' +
      'read it to stop. The suite’s own webpki profile says the same of the name constraint.',
    cases: [
      'rfc5280::nc::permitted-dns-match-noncritical',
      'rfc5280::root-non-critical-basic-constraints',
      'webpki::san::san-critical-with-nonempty-subject',
      'webpki::eku::ee-critical-eku',
    ],
  },
  {
    is: 'accepts',
    why: 'RFC 5280 allows it; only the CA/Browser Forum’s profile for public servers does not.',
    cases: [
      'webpki::eku::ee-anyeku',
      'webpki::eku::root-has-eku',
      'webpki::forbidden-rsa-not-divisible-by-8-in-root',
      'webpki::forbidden-rsa-key-not-divisible-by-8-in-leaf',
    ],
  },
  {
    is: 'accepts',
    why:
      'A CA that presents its own certificate (with the purpose in it) proves less than it could issue: there is nothing to ' +
      'gain. RFC 5280 allows it, and the suite’s rfc5280::ca-as-leaf says so.',
    cases: ['webpki::ee-basicconstraints-ca'],
  },
  {
    is: 'accepts',
    why: 'authorityInfoAccess is not read, since nothing is fetched from places that a client names; critical, it is refused.',
    cases: ['webpki::malformed-aia'],
  },
  {
    is: 'accepts',
    why:
      'The number of a list orders lists for humans and delta lists; we order by thisUpdate and take no delta lists. Lists of ' +
      'small private CAs often have none.',
    cases: ['crl::crlnumber-missing'],
  },
  {
    is: 'refuses',
    why: 'The leaf must name the purpose: security.md rule 5, EKU clientAuth required. OpenSSL takes absence for consent.',
    cases: ['pathlen::validation-ignores-pathlen-in-leaf', 'rfc5280::eku::ee-without-eku', 'rfc5280::ca-as-leaf'],
  },
  {
    is: 'refuses',
    why:
      'maxDepth counts every certificate, self-issued ones too: it bounds work, and its documentation says certificates. ' +
      'Path length constraints do leave them out.',
    cases: ['pathlen::max-chain-depth-1-self-issued'],
  },
  {
    is: 'refuses',
    why: 'The anchor is no root. Whoever wants paths to end there says so: ClientTrust.partialChain.',
    cases: NEED_PARTIAL_CHAIN,
  },
];
