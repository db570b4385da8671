/** set-header, set-variable, choose, return-response, cors, find-and-replace, redirect-content-urls. */
import { NotConvertible } from './csharp-tokens.ts';
import type { PolicyElement } from './policy-document.ts';
import { convertSasHeader, isSasHeader } from './credential-steps.ts';
import {
  convertCondition,
  convertTemplate,
  findChild,
  identifier,
  isExpression,
  readFlag,
  readList,
  readNumber,
  requireLiteral,
  type Conversion,
  type PlainObject,
  type Step,
} from './conversion.ts';
import { addTrust } from './traffic-steps.ts';
import type { ConvertSteps } from './step-table.ts';

/** Headers that the gateway cannot touch and Sallyport writes by itself (P13). */
const OWN = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'upgrade',
  'te',
  'trailer',
]);

export function convertSetHeader(element: PolicyElement, conversion: Conversion): readonly Step[] {
  const name = requireLiteral(element.attributes.get('name') ?? '', 'a header’s name');
  const action = element.attributes.get('exists-action') ?? 'override';
  const { line } = element;
  if (OWN.has(name.toLowerCase()))
    throw new NotConvertible(`the header ${name}: framing and routing are the proxy’s own`);
  if (action === 'delete') {
    return [{ name: conversion.nameStep(`remove-${name}`), body: { removeHeaders: [name] }, line }];
  }
  const values = element.children.filter(child => child.name === 'value').map(({ text }) => text);
  if (conversion.section === 'inbound' && isSasHeader(name, values))
    return convertSasHeader(element, values[0] ?? '', conversion);
  const ifExists = { override: 'Override', skip: 'Skip', append: 'Append' }[action];
  if (ifExists === undefined) throw new NotConvertible(`exists-action="${action}"`);
  const value = values.map(text => convertTemplate(text, conversion)).join(', ');
  const setHeaders = [{ name, ...(ifExists === 'Override' ? {} : { ifExists }), value }];
  return [{ name: conversion.nameStep(`set-${name}`), body: { setHeaders }, line }];
}

export function convertSetVariable(element: PolicyElement, conversion: Conversion): readonly Step[] {
  const name = requireLiteral(element.attributes.get('name') ?? '', 'a variable’s name');
  const value = convertTemplate(element.attributes.get('value') ?? '', conversion);
  const key = identifier(name);
  if (key !== name) conversion.note(element, `the variable ${name} is called vars.${key}`);
  return [{ name: conversion.nameStep(`set-${name}`), body: { setVariables: { [key]: value } }, line: element.line }];
}

export function convertReturnResponse(element: PolicyElement, conversion: Conversion): readonly Step[] {
  if (element.attributes.has('response-variable-name'))
    throw new NotConvertible('response-variable-name: an answer is not made from another');
  const status = findChild(element, 'set-status');
  const code = status === undefined ? 200 : readNumber(status, 'code');
  if (code === undefined) throw new NotConvertible('set-status without a code');
  const reason = status?.attributes.get('reason');
  if (reason !== undefined && reason !== '') conversion.note(element, `the reason phrase "${reason}" is not sent`);
  const headers = element.children
    .filter(({ name }) => name === 'set-header')
    .map(child => readResponseHeader(child, conversion));
  const contentType = headers.find(([name]) => name.toLowerCase() === 'content-type')?.[1];
  const others = headers.filter(([name]) => name.toLowerCase() !== 'content-type');
  const body = findChild(element, 'set-body')?.text;
  const respond = {
    status: code,
    ...(others.length === 0 ? {} : { headers: Object.fromEntries(others) }),
    ...(contentType === undefined ? {} : { contentType }),
    ...(body === undefined || body === '' ? {} : { body: convertTemplate(body, conversion) }),
  };
  return [{ name: conversion.nameStep(`respond-${code}`), body: { respond }, line: element.line }];
}

function readResponseHeader(element: PolicyElement, conversion: Conversion): readonly [string, string] {
  const name = requireLiteral(element.attributes.get('name') ?? '', 'a header’s name');
  return [name, convertTemplate(findChild(element, 'value')?.text ?? '', conversion)];
}

/** How a document asks whether a client certificate is there and good: any of these sends the client away. */
const NO_CERTIFICATE = /context\.Request\.Certificate\s*==\s*null|!\s*context\.Request\.Certificate\.Verify/;

export function convertChoose(
  element: PolicyElement,
  conversion: Conversion,
  convertSteps: ConvertSteps,
): readonly Step[] {
  const branches = element.children.filter(({ name }) => name === 'when');
  const certificate = convertCertificateCheck(branches, element, conversion);
  if (certificate !== undefined) return certificate;
  const otherwise = findChild(element, 'otherwise');
  const flat = [...branches, ...(otherwise === undefined ? [] : [otherwise])].flatMap(({ children }) => children);
  if (flat.some(({ name }) => name === 'choose')) {
    throw new NotConvertible('choose inside of choose: give the inner one conditions of its own, one after the other');
  }
  if (otherwise === undefined && flat.some(({ name }) => name === 'return-response')) {
    conversion.note(element, 'no <otherwise>: what no branch names goes on, as in the gateway');
  }
  const when = branches.map(branch => ({
    condition: convertCondition(branch.attributes.get('condition') ?? '', conversion),
    steps: renderSteps(convertSteps(branch.children, conversion)),
  }));
  const rest = otherwise === undefined ? [] : renderSteps(convertSteps(otherwise.children, conversion));
  const choose = {
    when: when.filter(({ steps }) => steps.length > 0),
    ...(rest.length === 0 ? {} : { otherwise: rest }),
  };
  if (when.some(({ steps }) => steps.length === 0)) {
    // A branch that does nothing still keeps those after it from running.
    choose.when = when.map(branch => branch);
  }
  return [{ name: conversion.nameStep('choose'), body: { choose }, line: element.line }];
}

export const renderSteps = (steps: readonly Step[]): readonly PlainObject[] =>
  steps.map(({ name, body }) => ({ name, ...body }));

/** `when Certificate == null || !Verify()` → 403: the certificate rule itself, with identities from compared thumbprints. */
function convertCertificateCheck(
  branches: readonly PolicyElement[],
  element: PolicyElement,
  conversion: Conversion,
): readonly Step[] | undefined {
  const [only, ...others] = branches;
  const condition = only?.attributes.get('condition') ?? '';
  if (only === undefined || others.length > 0 || !NO_CERTIFICATE.test(condition)) return undefined;
  const isRefusal = only.children.length === 1 && only.children[0]?.name === 'return-response';
  if (!isRefusal || findChild(element, 'otherwise') !== undefined) return undefined;
  const thumbprints = readThumbprints(condition);
  const rest = condition
    .replace(NO_CERTIFICATE, '')
    .replaceAll(/context\.Request\.Certificate\.Thumbprint\s*!=\s*"[^"]*"/g, '');
  if (/&&|Subject|Issuer|Serial|Variables|Headers/.test(rest)) return undefined;
  const revocation = /\.Verify\(\)/.test(condition);
  const trust = addTrust(conversion, element, { revocation, notBefore: true, notAfter: true });
  const identities = thumbprints.length === 0 ? {} : { identities: thumbprints.map(thumbprint => ({ thumbprint })) };
  addRefusal(only.children[0], conversion);
  return [
    {
      name: conversion.nameStep('certificate'),
      body: { clientCertificate: { trust, ...identities } },
      line: element.line,
    },
  ];
}

const readThumbprints = (condition: string): readonly string[] =>
  [...condition.matchAll(/Thumbprint\s*!=\s*"([^"]+)"/g)].flatMap(([, thumbprint]) => thumbprint ?? []);

/** 403 for whoever has no certificate too, as the document answers. */
function addRefusal(response: PolicyElement | undefined, conversion: Conversion): void {
  const status = response === undefined ? undefined : findChild(response, 'set-status');
  const code = status === undefined ? undefined : readNumber(status, 'code');
  if (code === undefined || code === 401 || code < 400) return;
  conversion.errors.push({ reasons: ['ClientCertificateNotPresent'], status: code });
}

export function convertCors(element: PolicyElement, conversion: Conversion): readonly Step[] {
  const list = (parent: string): readonly string[] =>
    readList(element, parent).map(text => requireLiteral(text, parent));
  const methods = findChild(element, 'allowed-methods');
  const maxAge = methods === undefined ? undefined : readNumber(methods, 'preflight-result-max-age');
  const optional = (key: string, values: readonly string[]): PlainObject =>
    values.length === 0 ? {} : { [key]: values };
  const cors = {
    allowOrigins: list('allowed-origins'),
    ...optional('allowMethods', list('allowed-methods')),
    ...optional('allowHeaders', list('allowed-headers')),
    ...optional('exposeHeaders', list('expose-headers')),
    ...(readFlag(element, 'allow-credentials', false) ? { allowCredentials: true } : {}),
    ...(maxAge === undefined ? {} : { maxAge: `${maxAge}s` }),
  };
  if (element.attributes.get('terminate-unmatched-request') === 'false') {
    conversion.note(
      element,
      'terminate-unmatched-request="false": a preflight that no origin allows is answered without CORS headers, never forwarded',
    );
  }
  return [{ name: conversion.nameStep('cors'), body: { cors }, line: element.line }];
}

export function convertFindAndReplace(element: PolicyElement, conversion: Conversion): readonly Step[] {
  if (conversion.section === 'inbound')
    throw new NotConvertible('find-and-replace in a request: requests are forwarded as they are');
  const from = requireLiteral(element.attributes.get('from') ?? '', 'from');
  const to = element.attributes.get('to') ?? '';
  if (isExpression(to)) throw new NotConvertible('an expression as to');
  conversion.note(
    element,
    'media types and size are bounded here: application/json and text/*, 1Mi; widen them in replaceText',
  );
  const replaceText = { from, to: requireLiteral(to, 'to'), mediaTypes: ['application/json', 'text/*'] };
  return [{ name: conversion.nameStep('replace'), body: { replaceText }, line: element.line }];
}

export function convertRedirectContentUrls(element: PolicyElement, conversion: Conversion): readonly Step[] {
  const hideBackend = { bodies: { mediaTypes: ['application/json', 'text/html', 'text/xml', 'application/xml'] } };
  return [{ name: conversion.nameStep('hide'), body: { hideBackend }, line: element.line }];
}
