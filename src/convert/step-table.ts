/** Which element becomes which step, and what happens to those that become none. */
import { convertBasic, convertCertificateCredential } from './credential-steps.ts';
import { NotConvertible } from './csharp-tokens.ts';
import {
  convertChoose,
  convertCors,
  convertFindAndReplace,
  convertRedirectContentUrls,
  convertReturnResponse,
  convertSetHeader,
  convertSetVariable,
} from './flow-steps.ts';
import { convertSendRequest } from './look-up-steps.ts';
import type { PolicyElement } from './policy-document.ts';
import { convertValidateAzureToken, convertValidateJwt } from './token-steps.ts';
import {
  convertCheckHeader,
  convertClientCertificate,
  convertConcurrency,
  convertIpFilter,
  convertQuota,
  convertRateLimit,
} from './traffic-steps.ts';
import type { Conversion, Step } from './conversion.ts';

export type ConvertSteps = (elements: readonly PolicyElement[], conversion: Conversion) => readonly Step[];
type Convert = (element: PolicyElement, conversion: Conversion, convertSteps: ConvertSteps) => readonly Step[];

const CONVERTERS: ReadonlyMap<string, Convert> = new Map<string, Convert>([
  ['validate-jwt', convertValidateJwt],
  ['validate-azure-ad-token', convertValidateAzureToken],
  ['validate-client-certificate', convertClientCertificate],
  ['ip-filter', convertIpFilter],
  ['rate-limit', convertRateLimit],
  ['rate-limit-by-key', convertRateLimit],
  ['quota', convertQuota],
  ['quota-by-key', convertQuota],
  ['limit-concurrency', convertWithChildren],
  ['check-header', convertCheckHeader],
  ['set-header', convertSetHeader],
  ['set-variable', convertSetVariable],
  ['choose', convertChoose],
  ['return-response', convertReturnResponse],
  ['send-request', convertSendRequest],
  ['authentication-basic', convertBasic],
  ['authentication-certificate', convertCertificateCredential],
  ['cors', convertCors],
  ['find-and-replace', convertFindAndReplace],
  ['redirect-content-urls', convertRedirectContentUrls],
]);

/**
 * Elements that only transform, route or report: left out with a note. Anything else that cannot be converted may have
 * protected, names that nobody knows included, so requests are denied until somebody has looked.
 */
const HARMLESS = new Set([
  'set-backend-service',
  'rewrite-uri',
  'set-query-parameter',
  'set-method',
  'set-body',
  'set-status',
  'set-header',
  'set-variable',
  'authentication-basic',
  'authentication-certificate',
  'authentication-managed-identity',
  'get-authorization-context',
  'forward-request',
  'cache-lookup',
  'cache-store',
  'cache-lookup-value',
  'cache-store-value',
  'cache-remove-value',
  'send-one-way-request',
  'log-to-eventhub',
  'emit-metric',
  'find-and-replace',
  'redirect-content-urls',
  'mock-response',
  'json-to-xml',
  'xml-to-json',
  'xsl-transform',
  'proxy',
  'jsonp',
  'cors',
]);

/** What Sallyport does not do, and what to do instead. */
const INSTEAD: Readonly<Record<string, string>> = {
  'set-backend-service': 'write the address into Api.spec.app.url',
  'rewrite-uri': 'paths are forwarded as they were judged; with Api.spec.app.url the part after basePath is appended',
  'set-query-parameter': 'queries are forwarded as they were judged',
  'set-method': 'methods are forwarded as they were judged',
  'set-body': 'bodies are forwarded as they came',
  'set-status': 'use respond, or errors.overrides for refusals',
  'authentication-managed-identity': 'use a BackendCredential with oauth2ClientCredentials',
  'get-authorization-context': 'use a BackendCredential with oauth2ClientCredentials',
  'forward-request': 'set Api.spec.app.timeouts',
  'cache-lookup': 'answers are not cached',
  'cache-store': 'answers are not cached',
  'cache-lookup-value': 'values are not cached',
  'cache-store-value': 'values are not cached',
  'send-one-way-request': 'nothing is sent beside the request; the metrics and log lines tell the same',
  'log-to-eventhub': 'collect the log lines, which are JSON',
  'emit-metric': 'metrics are those of the reference',
  'include-fragment': 'convert the fragment too and put its steps here',
  retry: 'a request is tried again only where nothing was sent twice',
  wait: 'look-ups of one request run one after the other',
  'mock-response': 'use respond',
  'json-to-xml': 'bodies are forwarded as they came',
  'xml-to-json': 'bodies are forwarded as they came',
  'xsl-transform': 'bodies are forwarded as they came',
  'validate-content': 'bodies are not judged by schemas',
  'validate-parameters': 'parameters are not judged by schemas; use authorize',
  'validate-headers': 'use requireHeader or authorize',
  proxy: 'egress goes by the pod’s own network',
  jsonp: 'use cors',
};

const SILENT = new Set(['base', 'trace']);

/** Never throws for what cannot be converted: it becomes a note, and a step that denies where it protected. */
export const convertSteps: ConvertSteps = (elements, conversion) =>
  elements.filter(({ name }) => !SILENT.has(name)).flatMap(element => convertElement(element, conversion));

function convertElement(element: PolicyElement, conversion: Conversion): readonly Step[] {
  const convert = CONVERTERS.get(element.name);
  try {
    if (convert !== undefined) return convert(element, conversion, convertSteps);
    if (element.name === 'forward-request' && element.attributes.size === 0) return [];
    throw new NotConvertible(INSTEAD[element.name] ?? 'Sallyport has nothing like it');
  } catch (error) {
    if (!(error instanceof NotConvertible)) throw error;
    conversion.note(element, error.message, 'lost');
    return HARMLESS.has(element.name) || conversion.section !== 'inbound' ? [] : [denyInstead(element, conversion)];
  }
}

/** Keeps closed what the document kept closed, until a person has looked. */
export function denyInstead(element: Pick<PolicyElement, 'name' | 'line'>, conversion: Conversion): Step {
  const name = conversion.nameStep(`not-converted-line-${element.line}`);
  const rule = { name, expression: 'true', message: `${element.name} of line ${element.line} is not converted yet` };
  return { name, body: { authorize: { deny: [rule] } }, line: element.line };
}

function convertWithChildren(element: PolicyElement, conversion: Conversion): readonly Step[] {
  return [...convertConcurrency(element, conversion), ...convertSteps(element.children, conversion)];
}
