/** send-request, where it asks a service whether a device's certificate may be used. */
import { parseExpression, type Expression } from './csharp-expression.ts';
import { NotConvertible } from './csharp-tokens.ts';
import type { PolicyElement } from './policy-document.ts';
import {
  convertTemplate,
  findChild,
  formatSeconds,
  isExpression,
  kebab,
  readFlag,
  readNumber,
  type Conversion,
  type Step,
} from './conversion.ts';

const THUMBPRINT = /Certificate\.Thumbprint/;
const PARAMETER = /MatchedParameters(?:\.GetValueOrDefault\(|\[)\s*"([^"]+)"/;

export function convertSendRequest(element: PolicyElement, conversion: Conversion): readonly Step[] {
  const url = findChild(element, 'set-url')?.text ?? '';
  const parameter = PARAMETER.exec(url)?.[1];
  if (!THUMBPRINT.test(url) && !/thumbprint/i.test(url)) {
    throw new NotConvertible(
      'send-request that is not a device check: only calls with a certificate’s thumbprint are made',
    );
  }
  if (parameter === undefined) throw new NotConvertible('a device check without a path parameter as device id');
  const variable = element.attributes.get('response-variable-name') ?? 'device';
  // Conditions name the step, and CEL would read a hyphen as a minus.
  const step = conversion.nameStep(kebab(variable).replaceAll('-', ''));
  conversion.lookups.set(variable, step);
  const service = addService(element, url, parameter, conversion);
  if (readFlag(element, 'ignore-error', false)) {
    conversion.note(element, 'ignore-error="true": an outage of the service is 503 here, never a permit');
  }
  conversion.note(
    element,
    `the step refuses by itself whatever is not status 200 with the same deviceId; branches on ${variable} that answered 401 or 403 are no longer needed`,
  );
  return [
    {
      name: step,
      body: { when: 'has(cert.sha1)', deviceAuth: { service, deviceId: `\${params.${parameter}}` } },
      line: element.line,
    },
  ];
}

function addService(element: PolicyElement, url: string, parameter: string, conversion: Conversion): string {
  const name = `${conversion.name}-devices`;
  const { base, query } = readUrl(url, parameter, conversion, element);
  const method = findChild(element, 'set-method')?.text.toUpperCase() ?? 'GET';
  if (method !== 'GET' && method !== 'POST') throw new NotConvertible(`the method ${method} of a device check`);
  const timeout = readNumber(element, 'timeout');
  const headers = Object.fromEntries(
    element.children
      .filter(child => child.name === 'set-header' && child.attributes.get('exists-action') !== 'delete')
      .map(child => [
        child.attributes.get('name') ?? '',
        convertTemplate(findChild(child, 'value')?.text ?? '', conversion),
      ]),
  );
  const spec = {
    url: base,
    request: { method, query, ...(Object.keys(headers).length === 0 ? {} : { headers }) },
    tls: { trust: { systemRoots: true } },
    ...(timeout === undefined ? {} : { timeout: formatSeconds(Math.min(timeout, 10)) }),
  };
  if (timeout !== undefined && timeout > 10)
    conversion.note(element, `timeout="${timeout}" is shortened to 10s: a client waits for it`);
  const certificate = findChild(element, 'authentication-certificate');
  if (certificate !== undefined)
    conversion.note(certificate, `give the DeviceAuthService ${name} its certificate: tls.credential`);
  conversion.objects.set(`DeviceAuthService ${name}`, { kind: 'DeviceAuthService', name, spec });
  return conversion.refer(name);
}

interface LookupUrl {
  readonly base: string;
  readonly query: Readonly<Record<string, string>>;
}

/** The text with a mark for each hole; named values stay as they are written. */
function flattenUrl(url: string): string {
  if (!isExpression(url)) return url.replace(/\s+/g, '');
  const withNames = url.replace(/\{\{([^{}]+)\}\}/g, (_, name: string) => `«${name.trim()}»`);
  return flatten(parseExpression(withNames)).replace(/«([^»]*)»/g, '{{$1}}');
}

/** Texts joined with `+`, `$"…"` and `String.Format`-like calls are walked through; what is computed becomes a mark. */
function flatten(expression: Expression): string {
  if (expression.kind === 'literal') return String(expression.value);
  if (expression.kind === 'binary' && expression.operator === '+') {
    return flatten(expression.left) + flatten(expression.right);
  }
  if (expression.kind === 'interpolated') {
    return expression.parts.map(part => (typeof part === 'string' ? part : flatten(part))).join('');
  }
  return markHole(expression);
}

function markHole(expression: Expression): string {
  if (expression.kind === 'call' && /Escape|Encode/.test(expression.name)) return expression.args.map(flatten).join('');
  const text = JSON.stringify(expression);
  if (/thumbprint/i.test(text)) return '<thumbprint>';
  return /MatchedParameters|deviceId/i.test(text) ? '<device>' : '<other>';
}

function readUrl(url: string, parameter: string, conversion: Conversion, element: PolicyElement): LookupUrl {
  const flat = flattenUrl(url);
  const [address = '', search = ''] = flat.split('?', 2);
  if (address.includes('<')) throw new NotConvertible('a device check whose path is computed');
  const isNamed = address.includes('{{');
  if (isNamed)
    conversion.note(element, `write the address of the service into the DeviceAuthService (it was ${address})`);
  const query: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const pair of search.split('&').filter(each => each !== '')) {
    const [name = '', value = ''] = pair.split('=', 2);
    if (value === '<other>') throw new NotConvertible(`the query parameter ${name} of a device check`);
    query[name] = value === '<thumbprint>' ? '${cert.sha1}' : value === '<device>' ? '${deviceId}' : value;
  }
  if (Object.keys(query).length === 0) throw new NotConvertible(`a device check without a query (${kebab(parameter)})`);
  return {
    base: isNamed ? `https://device-auth.example${address.replace(/^.*?\}\}/, '')}` : address,
    query: { ...query },
  };
}
