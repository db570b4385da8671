/** validate-jwt and validate-azure-ad-token. */
import { NotConvertible } from './csharp-tokens.ts';
import type { PolicyElement } from './policy-document.ts';
import {
  convertSecret,
  findChild,
  formatSeconds,
  kebab,
  readFlag,
  readList,
  readNumber,
  requireLiteral,
  type Conversion,
  type PlainObject,
  type Step,
} from './conversion.ts';

const TOKEN_REASONS = [
  'TokenNotPresent',
  'TokenMalformed',
  'TokenSignatureInvalid',
  'TokenKeyNotFound',
  'TokenAlgorithmNotAllowed',
  'TokenIssuerNotAllowed',
  'TokenAudienceNotAllowed',
  'TokenExpired',
  'TokenNotYetValid',
  'TokenExpirationMissing',
  'TokenClaimNotFound',
  'TokenClaimNotAllowed',
  'InsufficientScope',
];

export function convertValidateJwt(element: PolicyElement, conversion: Conversion): readonly Step[] {
  if (!readFlag(element, 'require-signed-tokens', true)) {
    throw new NotConvertible('require-signed-tokens="false": unsigned tokens are never accepted');
  }
  const issuers = convertIssuers(element, conversion);
  rememberToken(element, conversion);
  addFailure(element, conversion, TOKEN_REASONS, 401);
  const step = {
    issuers,
    from: [convertLocation(element, conversion)],
    audiences: convertAudiences(element, conversion),
    ...convertClaims(element),
    forwardToken: true,
  };
  return [{ name: conversion.nameStep('token'), body: { jwt: step }, line: element.line }];
}

/** The gateway hands the token on to the back end; Sallyport removes it unless told otherwise. */
function convertLocation(element: PolicyElement, conversion: Conversion): PlainObject {
  const query = element.attributes.get('query-parameter-name');
  if (query !== undefined) return { query: requireLiteral(query, 'query-parameter-name') };
  const header = element.attributes.get('header-name');
  if (header === undefined) {
    throw new NotConvertible('token-value: a token is read from a header, a query parameter or a cookie');
  }
  const scheme = element.attributes.get('require-scheme');
  const name = requireLiteral(header, 'header-name');
  if (name.toLowerCase() !== 'authorization' && scheme !== undefined) {
    conversion.note(
      element,
      `require-scheme="${scheme}" is ignored by the gateway for the header ${name}; here it counts`,
    );
  }
  if (name.toLowerCase() === 'authorization')
    return { header: name, scheme: requireLiteral(scheme ?? 'Bearer', 'require-scheme') };
  return { header: name, ...(scheme === undefined ? {} : { scheme: requireLiteral(scheme, 'require-scheme') }) };
}

function convertAudiences(element: PolicyElement, conversion: Conversion): readonly string[] {
  const audiences = readList(element, 'audiences').map(text => requireLiteral(text, 'an audience'));
  if (audiences.length > 0) return audiences;
  conversion.note(element, 'no audience is checked in the document (audiences: [Any]); name yours');
  return ['Any'];
}

function convertClaims(element: PolicyElement): PlainObject {
  const requiredClaims = readClaims(element);
  return requiredClaims.length === 0 ? {} : { requiredClaims };
}

function readClaims(element: PolicyElement): readonly PlainObject[] {
  return (findChild(element, 'required-claims')?.children ?? []).map(claim => {
    const values = claim.children
      .filter(({ name }) => name === 'value')
      .map(({ text }) => requireLiteral(text, 'a claim’s value'));
    const separator = claim.attributes.get('separator');
    return {
      name: requireLiteral(claim.attributes.get('name') ?? '', 'a claim’s name'),
      ...(values.length === 0
        ? {}
        : { match: claim.attributes.get('match')?.toLowerCase() === 'any' ? 'Any' : 'All', values }),
      ...(separator === undefined || separator === ' ' ? {} : { separator }),
    };
  });
}

/** One TokenIssuer for each discovery document, or one for the keys of the document. */
function convertIssuers(element: PolicyElement, conversion: Conversion): readonly string[] {
  const configurations = element.children.filter(({ name }) => name === 'openid-config');
  const names = readList(element, 'issuers').map(text => requireLiteral(text, 'an issuer'));
  const shared = { ...convertTimes(element), ...convertDecryption(element, conversion) };
  const add = (base: string, spec: PlainObject): string => addIssuer(conversion, base, { ...spec, ...shared });
  if (configurations.length > 0) {
    return configurations.map((configuration, at) => {
      const url = requireLiteral(configuration.attributes.get('url') ?? '', 'openid-config url');
      const issuer = configurations.length === 1 && names.length === 1 ? names[0] : undefined;
      if (names.length > 1)
        conversion.note(
          element,
          `issuers ${names.join(', ')}: each discovery document’s own issuer is accepted; add a TokenIssuer for any other`,
        );
      return add(at === 0 ? conversion.name : `${conversion.name}-${at + 1}`, {
        discovery: { url },
        ...(issuer === undefined ? {} : { issuer }),
      });
    });
  }
  const keys = convertKeys(element, conversion);
  if (keys.length === 0) throw new NotConvertible('neither openid-config nor issuer-signing-keys');
  if (names.length === 0) throw new NotConvertible('keys without issuers: name the issuer of the tokens');
  const symmetric = { algorithms: ['HS256', 'HS384', 'HS512'] };
  const isSymmetric = findChild(element, 'issuer-signing-keys')?.children.every(
    ({ attributes }) => !attributes.has('certificate-id') && !attributes.has('n'),
  );
  return names.map((issuer, at) =>
    add(at === 0 ? conversion.name : `${conversion.name}-${at + 1}`, {
      issuer,
      keys,
      ...(isSymmetric === true ? symmetric : {}),
    }),
  );
}

function addIssuer(conversion: Conversion, base: string, spec: PlainObject): string {
  const same = [...conversion.objects.values()].find(
    object => object.kind === 'TokenIssuer' && JSON.stringify(object.spec) === JSON.stringify(spec),
  );
  if (same !== undefined) return conversion.refer(same.name);
  let name = kebab(base);
  for (let count = 2; conversion.objects.has(`TokenIssuer ${name}`); count += 1) name = `${kebab(base)}-${count}`;
  conversion.objects.set(`TokenIssuer ${name}`, { kind: 'TokenIssuer', name, spec });
  return conversion.refer(name);
}

function convertTimes(element: PolicyElement): PlainObject {
  const skew = readNumber(element, 'clock-skew');
  return {
    ...(skew === undefined ? {} : { clockSkew: formatSeconds(skew) }),
    ...(readFlag(element, 'require-expiration-time', true) ? {} : { requireExpiration: false }),
  };
}

function convertKeys(element: PolicyElement, conversion: Conversion): readonly PlainObject[] {
  return (findChild(element, 'issuer-signing-keys')?.children ?? []).map((key, at) => {
    const kid = key.attributes.get('id');
    const certificate = key.attributes.get('certificate-id');
    if (certificate !== undefined)
      conversion.note(key, `put the public key of the certificate ${certificate} into the Secret (PEM or JWK)`);
    if (key.attributes.has('n'))
      conversion.note(key, 'put the key with this modulus and exponent into the Secret as a JWK');
    const text = certificate === undefined && !key.attributes.has('n') ? key.text : '-';
    const source = convertSecret(text, conversion, key, `${conversion.name}-signing-keys`, kid ?? `key-${at + 1}`);
    return { ...(kid === undefined ? {} : { kid }), ...source };
  });
}

function convertDecryption(element: PolicyElement, conversion: Conversion): PlainObject {
  const keys = findChild(element, 'decryption-keys')?.children ?? [];
  if (keys.length === 0) return {};
  return {
    decryptionKeys: keys.map((key, at) =>
      convertSecret(
        key.text === '' ? '-' : key.text,
        conversion,
        key,
        `${conversion.name}-decryption-keys`,
        `key-${at + 1}`,
      ),
    ),
  };
}

function rememberToken(element: PolicyElement, conversion: Conversion): void {
  const variable = element.attributes.get('output-token-variable-name');
  if (variable !== undefined) conversion.tokens.add(variable);
}

/** `failed-validation-httpcode` and its message, where they differ from what Sallyport answers anyway. */
export function addFailure(
  element: PolicyElement,
  conversion: Conversion,
  reasons: readonly string[],
  usual: number,
): void {
  const status = readNumber(element, 'failed-validation-httpcode') ?? readNumber(element, 'failed-check-httpcode');
  const message =
    element.attributes.get('failed-validation-error-message') ?? element.attributes.get('failed-check-error-message');
  const differs = status !== undefined && status !== usual;
  if (!differs && message === undefined) return;
  const text = message === undefined ? {} : { message: requireLiteral(message, 'an error message').slice(0, 256) };
  const entry = { reasons, ...(differs ? { status } : {}), ...text };
  // Of two overrides of one reason the first would win silently.
  const known = new Set(conversion.errors.flatMap(({ reasons: each }) => each));
  if (reasons.some(reason => known.has(reason))) {
    conversion.note(
      element,
      'another policy of the document already sets the status or message of these refusals: theirs stays',
    );
    return;
  }
  conversion.errors.push(entry);
}

const TENANT_URL = 'https://login.microsoftonline.com';

export function convertValidateAzureToken(element: PolicyElement, conversion: Conversion): readonly Step[] {
  const tenant = requireLiteral(element.attributes.get('tenant-id') ?? '', 'tenant-id');
  const issuer = addIssuer(conversion, conversion.name, {
    discovery: { url: `${TENANT_URL}/${tenant}/v2.0/.well-known/openid-configuration` },
  });
  rememberToken(element, conversion);
  addFailure(element, conversion, TOKEN_REASONS, 401);
  const applications = readList(element, 'client-application-ids').map(text =>
    requireLiteral(text, 'an application id'),
  );
  const azp = applications.length === 0 ? [] : [{ name: 'azp', match: 'Any', values: applications }];
  conversion.note(
    element,
    'tokens of version 2.0 are expected; for 1.0 use the claim appid and the issuer sts.windows.net',
  );
  const claims = [...azp, ...readClaims(element)];
  const step = {
    issuers: [issuer],
    from: [{ header: element.attributes.get('header-name') ?? 'Authorization', scheme: 'Bearer' }],
    audiences: convertAudiences(element, conversion),
    ...(claims.length === 0 ? {} : { requiredClaims: claims }),
    forwardToken: true,
  };
  return [{ name: conversion.nameStep('token'), body: { jwt: step }, line: element.line }];
}
