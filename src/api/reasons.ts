/** Every reason of a denial, with its status code (runtime.md "Reasons"). The list is closed; docs are generated from it. */

export interface ReasonInfo {
  readonly status: number;
  /** The problem document's title: fixed text, says nothing of the policy or the back end. */
  readonly title: string;
  /** One sentence for the reference page: when it happens and what to look at. */
  readonly explanation: string;
}

const reason = (status: number, title: string, explanation: string): ReasonInfo => ({ status, title, explanation });

export const REASONS = {
  MalformedRequest: reason(
    400,
    'Malformed request',
    'The request line, a header, a length or the framing breaks HTTP.',
  ),
  AmbiguousPath: reason(
    400,
    'Ambiguous path',
    'The path holds an escape, separator or parameter that back ends read in different ways.',
  ),
  DuplicateCredential: reason(
    400,
    'Duplicate credential',
    'A credential was sent twice, or in more than one place. Two Authorization lines are refused on every route.',
  ),
  TokenNotPresent: reason(401, 'Token not present', 'No token was sent where the policy looks for one.'),
  TokenMalformed: reason(
    401,
    'Token malformed',
    'The token is not a compact JWS (or JWE, where decryption keys exist) of at most 16 KiB, or its typ names another use, such as logout+jwt, dpop+jwt or secevent+jwt; JWT, at+jwt and none are accepted.',
  ),
  TokenSignatureInvalid: reason(
    401,
    'Token signature invalid',
    'The signature does not verify, or the token could not be decrypted.',
  ),
  TokenKeyNotFound: reason(401, 'Token key not found', 'The issuer publishes no key with the token’s key id.'),
  TokenAlgorithmNotAllowed: reason(
    401,
    'Token algorithm not allowed',
    'The token’s algorithm is not one of TokenIssuer.algorithms, or its header holds an unknown crit.',
  ),
  TokenIssuerNotAllowed: reason(
    401,
    'Token issuer not allowed',
    'iss is missing or is not one of the issuers that the step names.',
  ),
  TokenAudienceNotAllowed: reason(401, 'Token audience not allowed', 'aud holds none of the audiences of the step.'),
  TokenExpired: reason(401, 'Token expired', 'exp, with the issuer’s clock skew, lies in the past.'),
  TokenNotYetValid: reason(401, 'Token not yet valid', 'nbf or iat, with the issuer’s clock skew, lies in the future.'),
  TokenExpirationMissing: reason(
    401,
    'Token expiration missing',
    'The token has no exp and TokenIssuer.requireExpiration is true.',
  ),
  TokenTooOld: reason(401, 'Token too old', 'iat is missing or older than TokenIssuer.maxTokenAge.'),
  TokenClaimNotFound: reason(401, 'Token claim not found', 'A required claim is missing or empty.'),
  TokenClaimNotAllowed: reason(
    401,
    'Token claim not allowed',
    'A required claim has other values than the step asks for.',
  ),
  TokenBindingMismatch: reason(
    401,
    'Token binding mismatch',
    'The token is bound to another certificate than the one of the handshake (RFC 8705).',
  ),
  ClientCertificateNotPresent: reason(401, 'Client certificate not present', 'No client certificate was presented.'),
  SubscriptionKeyNotFound: reason(401, 'Subscription key not found', 'No subscription key was sent.'),
  SubscriptionKeyInvalid: reason(
    401,
    'Subscription key invalid',
    'The subscription key is unknown, suspended, past its date or does not cover this Api.',
  ),
  SignatureNotPresent: reason(401, 'Signature not present', 'The signature header is missing.'),
  SignatureInvalid: reason(401, 'Signature invalid', 'No key gives the signature that was sent.'),
  SignatureExpired: reason(401, 'Signature expired', 'The signed time lies outside the tolerance.'),
  SignatureReplayed: reason(401, 'Signature replayed', 'The same signed message was seen before.'),
  InsufficientScope: reason(
    403,
    'Insufficient scope',
    'scope or scp is present without a value that the step asks for (RFC 6750).',
  ),
  ClientCertificateUntrusted: reason(
    403,
    'Client certificate untrusted',
    'The certificate does not chain to an anchor of the ClientTrust.',
  ),
  ClientCertificateExpired: reason(
    403,
    'Client certificate expired',
    'A certificate of the chain is past its notAfter.',
  ),
  ClientCertificateNotYetValid: reason(
    403,
    'Client certificate not yet valid',
    'A certificate of the chain is before its notBefore.',
  ),
  ClientCertificateRevoked: reason(
    403,
    'Client certificate revoked',
    'A certificate revocation list names the certificate.',
  ),
  ClientCertificatePurpose: reason(
    403,
    'Client certificate purpose',
    'The certificate’s extended key usage does not hold clientAuth.',
  ),
  ClientCertificateIdentityNotAllowed: reason(
    403,
    'Client certificate identity not allowed',
    'The certificate is trusted but matches none of the identities of the step.',
  ),
  DeviceNotRecognized: reason(
    403,
    'Device not recognized',
    'The device-auth service does not know the certificate and device id.',
  ),
  DeviceMismatch: reason(
    403,
    'Device mismatch',
    'The device id of the request, of the certificate and of the device-auth answer are not the same.',
  ),
  DeviceRevoked: reason(
    403,
    'Device revoked',
    'The certificate’s thumbprint is on the revocation list of the DeviceAuthService.',
  ),
  AddressNotAllowed: reason(403, 'Address not allowed', 'The source address is not on the allow list.'),
  AddressBlocked: reason(403, 'Address blocked', 'The source address is on the deny list.'),
  AuthorizationDenied: reason(403, 'Authorization denied', 'A deny expression was true, or no allow expression was.'),
  QuotaExceeded: reason(403, 'Quota exceeded', 'The quota of the window is used up.'),
  HeaderNotFound: reason(403, 'Header not found', 'A header that the policy requires is missing.'),
  HeaderValueNotAllowed: reason(
    403,
    'Header value not allowed',
    'A header that the policy requires has another value.',
  ),
  ExpressionFailed: reason(
    403,
    'Expression failed',
    'An expression of the policy could not be evaluated for this request.',
  ),
  NoPolicyMatches: reason(
    403,
    'No policy matches',
    'No authentication step ran and passed: nothing is open unless a policy says so.',
  ),
  OperationNotFound: reason(404, 'Operation not found', 'No Api and operation matches host, path and method.'),
  MethodNotAllowed: reason(405, 'Method not allowed', 'CONNECT, TRACE and TRACK are never served.'),
  RequestTimeout: reason(408, 'Request timeout', 'The request head or body did not arrive in time.'),
  BodyTooLarge: reason(413, 'Body too large', 'The body is larger than Api.limits.bodyBytes, or than a step may hold.'),
  TargetTooLong: reason(414, 'Target too long', 'The request target is longer than Api.limits.targetBytes.'),
  ExpectationFailed: reason(417, 'Expectation failed', 'Expect holds something else than 100-continue.'),
  MisdirectedRequest: reason(
    421,
    'Misdirected request',
    'Host does not belong to the server name of this TLS connection.',
  ),
  RateLimitExceeded: reason(
    429,
    'Rate limit exceeded',
    'The rate of the step is used up for this key; Retry-After says when to come back.',
  ),
  ConcurrencyExceeded: reason(429, 'Concurrency exceeded', 'Too many requests of this key are open at once.'),
  HeadersTooLarge: reason(
    431,
    'Headers too large',
    'The head is larger than Api.limits.headBytes or has more headers than Api.limits.headers.',
  ),
  TransferCodingNotSupported: reason(
    501,
    'Transfer coding not supported',
    'Transfer-Encoding is something else than chunked.',
  ),
  AppUnavailable: reason(502, 'App unavailable', 'The app could not be reached.'),
  AppProtocolError: reason(
    502,
    'App protocol error',
    'The app’s answer breaks HTTP, is of a version that app.protocol does not say, or could not be rewritten as the policy says.',
  ),
  AppCertificateInvalid: reason(
    502,
    'App certificate invalid',
    'The app’s certificate is not the one that Api.app trusts.',
  ),
  PolicyNotLoaded: reason(503, 'Policy not loaded', 'No policy has been loaded yet.'),
  PolicyInvalid: reason(
    503,
    'Policy invalid',
    'An object that applies here is invalid and has no last good generation.',
  ),
  KeysUnavailable: reason(503, 'Keys unavailable', 'The issuer’s keys could not be had, or are stale for too long.'),
  DeviceAuthUnavailable: reason(
    503,
    'Device authorization unavailable',
    'The device-auth service gave no answer that decides.',
  ),
  RevocationUnavailable: reason(
    503,
    'Revocation unavailable',
    'A certificate revocation list is missing or past its nextUpdate.',
  ),
  CredentialUnavailable: reason(503, 'Credential unavailable', 'A credential for the app could not be had.'),
  Overloaded: reason(503, 'Overloaded', 'The sidecar is out of memory, connections or time.'),
  Draining: reason(
    503,
    'Draining',
    'Reserved: never given. While it drains the sidecar still answers; after SIGTERM it takes no new connections.',
  ),
  AppTimeout: reason(504, 'App timeout', 'The app did not answer in time.'),
  VersionNotSupported: reason(
    505,
    'Version not supported',
    'The HTTP version is none that protocol of this Api allows, or none that is known.',
  ),
} as const satisfies Record<string, ReasonInfo>;

export type Reason = keyof typeof REASONS;

export const REASON_NAMES = Object.keys(REASONS) as readonly Reason[];
