/** ip-filter, rate limits, quotas, concurrency, check-header, client certificates. */
import { quoteCel } from './cel-text.ts';
import { NotConvertible } from './csharp-tokens.ts';
import type { PolicyElement } from './policy-document.ts';
import { addFailure } from './token-steps.ts';
import {
  convertCondition,
  convertTemplate,
  findChild,
  formatSeconds,
  isExpression,
  readFlag,
  readNumber,
  requireLiteral,
  type Conversion,
  type PlainObject,
  type Step,
} from './conversion.ts';

export function convertIpFilter(element: PolicyElement, conversion: Conversion): readonly Step[] {
  const addresses = element.children.map(child => {
    if (child.name === 'address') return requireLiteral(child.text, 'an address');
    if (child.name !== 'address-range') throw new NotConvertible(`<${child.name}> in ip-filter`);
    const bound = (name: string): string => requireLiteral(child.attributes.get(name) ?? '', `address-range ${name}`);
    return `${bound('from')}-${bound('to')}`;
  });
  const action = requireLiteral(element.attributes.get('action') ?? '', 'action');
  if (action !== 'allow' && action !== 'forbid') throw new NotConvertible(`action="${action}"`);
  conversion.note(
    element,
    'the address is that of the TCP peer; behind a load balancer set Api.spec.clientAddress and trustedPeers',
  );
  const lists = action === 'allow' ? { allow: addresses } : { deny: addresses };
  return [{ name: conversion.nameStep('addresses'), body: { ipFilter: lists }, line: element.line }];
}

/** What the gateway counts by when no key is given: the subscription. */
const SUBSCRIPTION_KEY = '${has(subscription.name) ? subscription.name : source.ip}';

function convertKey(element: PolicyElement, conversion: Conversion): string {
  const key = element.attributes.get('counter-key') ?? element.attributes.get('key');
  if (key !== undefined) return convertTemplate(key, conversion);
  conversion.note(element, 'counted by subscription; callers without one by their address');
  return SUBSCRIPTION_KEY;
}

function convertCounting(element: PolicyElement, conversion: Conversion): PlainObject {
  const increment = element.attributes.get('increment-count');
  if (increment !== undefined && increment !== '1')
    throw new NotConvertible(`increment-count="${increment}": every request counts once`);
  const condition = element.attributes.get('increment-condition');
  return condition === undefined ? {} : { countWhen: convertCondition(condition, conversion, true) };
}

function requireCalls(element: PolicyElement): { readonly calls: number; readonly seconds: number } {
  const [calls, seconds] = [readNumber(element, 'calls'), readNumber(element, 'renewal-period')];
  if (calls === undefined) throw new NotConvertible('a limit by bandwidth: only calls are counted');
  if (seconds === undefined) throw new NotConvertible('no renewal-period');
  return { calls, seconds };
}

function noteNested(element: PolicyElement, conversion: Conversion): void {
  for (const child of element.children) {
    conversion.note(
      child,
      `<${child.name}> in ${element.name}: write the limit into a policy of that Api or operation`,
      'lost',
    );
  }
}

export function convertRateLimit(element: PolicyElement, conversion: Conversion): readonly Step[] {
  const { calls, seconds } = requireCalls(element);
  noteNested(element, conversion);
  const rateLimit = {
    calls,
    period: formatSeconds(seconds),
    key: convertKey(element, conversion),
    ...convertCounting(element, conversion),
  };
  conversion.note(
    element,
    'the limit counts in each pod (scope: Pod); scope: Workload divides it by the pods, scope: Shared needs a sharedStore',
  );
  return [{ name: conversion.nameStep('rate'), body: { rateLimit }, line: element.line }];
}

const LONGEST_PERIOD_SECONDS = 86_400;

export function convertQuota(element: PolicyElement, conversion: Conversion): readonly Step[] {
  const { calls, seconds } = requireCalls(element);
  if (element.attributes.has('bandwidth'))
    conversion.note(element, 'bandwidth is not limited: only calls are counted', 'lost');
  noteNested(element, conversion);
  const fits = seconds > 0 && seconds <= LONGEST_PERIOD_SECONDS;
  if (!fits) {
    throw new NotConvertible(
      `a quota of ${seconds === 0 ? 'unlimited time' : formatSeconds(seconds)}: a window is at most 24h, and counters do not outlive their pod`,
    );
  }
  const quota = {
    calls,
    period: formatSeconds(seconds),
    key: convertKey(element, conversion),
    ...convertCounting(element, conversion),
  };
  conversion.note(element, 'the quota counts in each pod and is lost on restart; scope: Shared needs a sharedStore');
  return [{ name: conversion.nameStep('quota'), body: { quota }, line: element.line }];
}

export function convertConcurrency(element: PolicyElement, conversion: Conversion): readonly Step[] {
  const max = readNumber(element, 'max-count');
  if (max === undefined) throw new NotConvertible('no max-count');
  const concurrency = { max, key: convertKey(element, conversion) };
  return [{ name: conversion.nameStep('concurrency'), body: { concurrency }, line: element.line }];
}

export function convertCheckHeader(element: PolicyElement, conversion: Conversion): readonly Step[] {
  const name = requireLiteral(element.attributes.get('name') ?? '', 'a header’s name');
  const texts = element.children.filter(child => child.name === 'value').map(({ text }) => text);
  const step = conversion.nameStep(`header-${name}`);
  if (texts.some(text => isExpression(text) || text.includes('{{'))) {
    return [{ name: step, body: { authorize: compareHeader(name, texts, element, conversion) }, line: element.line }];
  }
  addFailure(
    element,
    conversion,
    texts.length === 0 ? ['HeaderNotFound'] : ['HeaderNotFound', 'HeaderValueNotAllowed'],
    403,
  );
  const values = texts.length === 0 ? {} : { values: texts, ignoreCase: readFlag(element, 'ignore-case', true) };
  return [{ name: step, body: { requireHeader: { name, ...values } }, line: element.line }];
}

/** Values that are known only at run time are compared by an expression, refused as AuthorizationDenied. */
function compareHeader(
  name: string,
  texts: readonly string[],
  element: PolicyElement,
  conversion: Conversion,
): PlainObject {
  const lower = readFlag(element, 'ignore-case', true) ? '.lowerAscii()' : '';
  const header = `request.headers[${quoteCel(name.toLowerCase())}]${lower}`;
  const rules = texts.map((text, at) => {
    const source = isExpression(text) ? text : `@("${text}")`;
    return { name: `value-${at + 1}`, expression: `${header} == (${convertCondition(source, conversion)})${lower}` };
  });
  const status = element.attributes.get('failed-check-httpcode') ?? '403';
  if (status !== '403') conversion.note(element, `a refusal is 403 AuthorizationDenied here, not ${status}`);
  return { allow: rules };
}

const IDENTITY_FIELDS: Readonly<Record<string, string>> = {
  thumbprint: 'thumbprint',
  'serial-number': 'serialNumber',
  'common-name': 'commonName',
  subject: 'subject',
  'issuer-subject': 'issuerSubject',
  'issuer-thumbprint': 'issuerThumbprint',
};

export function convertClientCertificate(element: PolicyElement, conversion: Conversion): readonly Step[] {
  if (readFlag(element, 'ignore-error', false)) {
    throw new NotConvertible(
      'ignore-error="true": use anyOf, where another credential may stand in for the certificate',
    );
  }
  if (!readFlag(element, 'validate-trust', true)) {
    throw new NotConvertible('validate-trust="false": a certificate is always judged by a ClientTrust');
  }
  const trust = addTrust(conversion, element, {
    revocation: readFlag(element, 'validate-revocation', true),
    notBefore: readFlag(element, 'validate-not-before', true),
    notAfter: readFlag(element, 'validate-not-after', true),
  });
  const identities = (findChild(element, 'identities')?.children ?? []).map(identity => convertIdentity(identity));
  const clientCertificate = { trust, ...(identities.length === 0 ? {} : { identities }) };
  return [{ name: conversion.nameStep('certificate'), body: { clientCertificate }, line: element.line }];
}

function convertIdentity(identity: PolicyElement): PlainObject {
  const fields: Record<string, PlainObject | string> = {};
  for (const [attribute, text] of identity.attributes) {
    const value = requireLiteral(text, attribute);
    const field = IDENTITY_FIELDS[attribute];
    if (field !== undefined) fields[field] = value;
    else if (attribute === 'dns-name') fields['subjectAltName'] = { dns: { exact: value } };
    else throw new NotConvertible(`${attribute} of an identity: name the issuer by issuerSubject or issuerThumbprint`);
  }
  return fields;
}

/** The ClientTrust `devices`: the anchors are in the gateway, not in the document. */
export function addTrust(
  conversion: Conversion,
  element: PolicyElement,
  checks: { readonly revocation: boolean; readonly notBefore: boolean; readonly notAfter: boolean },
): string {
  const name = `${conversion.name}-clients`;
  const { notBefore, notAfter } = checks;
  conversion.note(element, `put the CA certificates of the clients into the ConfigMap ${name}-ca, key ca.crt`);
  if (checks.revocation) {
    conversion.note(
      element,
      `revocation is checked in the document: name revocation lists in the ClientTrust ${name} (revocation.crls); until then it is off`,
    );
  }
  const validity = notBefore && notAfter ? {} : { validity: { notBefore, notAfter } };
  const spec = { anchors: [{ configMapKeyRef: { name: `${name}-ca`, key: 'ca.crt' } }], ...validity };
  conversion.objects.set(`ClientTrust ${name}`, { kind: 'ClientTrust', name, spec });
  return conversion.refer(name);
}
