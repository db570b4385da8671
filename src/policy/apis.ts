/** Apis of the workload's namespace: checked, with their operations' path templates and the number of their port. */
import type { ObjectOfKind } from '../api/kinds/index.ts';
import type { ObjectKey } from '../api/object.ts';
import { quote } from '../api/words.ts';
import { parseCidr } from '../api/cidr.ts';
import { foldSegment, parsePathTemplate, type PathTemplate } from './path-template.ts';
import { credentialSort } from './credential-texts.ts';
import { knownIn, requireTlsSecret, type Supporting } from './supporting.ts';
import { readKeyRef, requireObject, type Lookup } from './references.ts';
import type { ObjectReport } from './report.ts';

export type ApiObject = ObjectOfKind<'Api'>;

export interface OperationDraft {
  readonly name: string;
  readonly methods?: readonly string[];
  /** As written below basePath. */
  readonly path: string;
  readonly template: PathTemplate;
}

export interface ApiDraft {
  readonly object: ApiObject;
  readonly port: number;
  /** Lower case, without trailing dot; empty: any host. */
  readonly hosts: readonly string[];
  /** Without trailing slash; empty for `/`. */
  readonly basePath: string;
  /** Of basePath itself: M1. */
  readonly base: PathTemplate;
  readonly operations: readonly OperationDraft[];
  /** Whether requests that no operation matches are served at API scope (M1). */
  readonly servesRest: boolean;
  readonly credential?: ObjectKey;
  readonly trustedPeers: readonly { readonly identity?: string; readonly cidr?: string; readonly trust?: ObjectKey }[];
}

export interface ApiContext {
  readonly supporting: Supporting;
  readonly lookup: Lookup;
  /** Numbers of named container ports. */
  readonly ports: Readonly<Record<string, number>>;
}

export const normalizeHost = (host: string): string => host.toLowerCase().replace(/\.$/, '');

/** The draft, or undefined after reporting why the Api cannot be served. */
export function draftApi(object: ApiObject, context: ApiContext, report: ObjectReport): ApiDraft | undefined {
  const { spec } = object;
  const port = readPort(spec.port, context.ports, report);
  const basePath = (spec.basePath ?? '').replace(/\/$/, '');
  const base = parsePathTemplate(basePath, '/');
  if ('problem' in base) report.error('spec.basePath', base);
  const operations = draftOperations(object, basePath, report);
  const credential = checkApp(object, context, report);
  const trustedPeers = checkPeers(object, context, report);
  checkTls(object, context, report);
  if (report.failed() || port === undefined || 'problem' in base) return undefined;
  const hosts = (spec.hosts ?? []).map(normalizeHost);
  const servesRest = spec.operations === undefined || spec.unmatched === 'Forward';
  const draft = { object, port, hosts, basePath, base, operations, servesRest, trustedPeers };
  return credential === undefined ? draft : { ...draft, credential };
}

function readPort(
  port: number | string,
  ports: Readonly<Record<string, number>>,
  report: ObjectReport,
): number | undefined {
  if (typeof port === 'number') return port;
  if (Object.hasOwn(ports, port)) return ports[port];
  report.error('spec.port', {
    problem: `names the container port ${quote(port)}, which this workload does not have`,
    fix: 'write the number of the port',
  });
  return undefined;
}

function draftOperations({ spec }: ApiObject, basePath: string, report: ObjectReport): readonly OperationDraft[] {
  const drafts: OperationDraft[] = [];
  const claimed = new Map<string, string>();
  for (const [index, { name, methods, path }] of (spec.operations ?? []).entries()) {
    const template = parsePathTemplate(basePath, path);
    if ('problem' in template) report.error(`spec.operations[${index}].path`, template);
    else {
      const form = describeForm(template, spec.paths);
      for (const method of methods ?? ['']) {
        const rival = claimed.get(`${method} ${form}`);
        if (rival === undefined) claimed.set(`${method} ${form}`, name);
        else {
          report.error(`spec.operations[${index}].path`, {
            problem: `matches the same requests as the operation ${quote(rival)}`,
            fix: 'merge the two, or give one another path or method',
          });
        }
      }
      drafts.push({ name, path, template, ...(methods === undefined ? {} : { methods }) });
    }
  }
  return drafts;
}

/** Templates with the same form match the same paths. */
function describeForm({ segments, wildcard, trailingSlash }: PathTemplate, paths: ApiObject['spec']['paths']): string {
  const fold = paths.case === 'Insensitive' ? foldSegment : (text: string): string => text;
  const texts = segments.map(segment => (segment.kind === 'literal' ? fold(segment.literal) : '{}'));
  return [...texts, wildcard ? '*' : '', paths.trailingSlash === 'Distinct' && trailingSlash ? '/' : ''].join('/');
}

function checkApp({ meta, spec }: ApiObject, context: ApiContext, report: ObjectReport): ObjectKey | undefined {
  const { app } = spec;
  if (app.trust !== undefined) readKeyRef(app.trust, meta.namespace, context.lookup, 'spec.app.trust', report);
  if (app.credential === undefined) return undefined;
  const known = knownIn(context.supporting, 'BackendCredential');
  const key = requireObject(app.credential, meta.namespace, known, 'spec.app.credential', report);
  const isSecure = app.scheme === 'https' || app.url?.startsWith('https:') === true;
  if (key !== undefined && !isSecure && credentialSort(context.supporting.credentials.get(key)) === 'certificate') {
    report.error('spec.app.credential', {
      problem: `names the BackendCredential ${quote(app.credential)}, a certificate, but scheme is http`,
      fix: 'set scheme: https, or name one of a header sort',
    });
  }
  return key;
}

function checkPeers(
  { meta, spec }: ApiObject,
  { supporting }: ApiContext,
  report: ObjectReport,
): ApiDraft['trustedPeers'] {
  return spec.trustedPeers.map(({ trust, ...peer }, index) => {
    const field = `spec.trustedPeers[${index}]`;
    if (peer.cidr !== undefined && parseCidr(peer.cidr) === undefined) {
      report.error(`${field}.cidr`, { problem: 'is not an address range', fix: 'write one such as 10.0.8.0/24' });
    }
    const known = knownIn(supporting, 'ClientTrust');
    const key = trust === undefined ? undefined : requireObject(trust, meta.namespace, known, `${field}.trust`, report);
    return key === undefined ? peer : { ...peer, trust: key };
  });
}

function checkTls({ meta, spec }: ApiObject, { lookup }: ApiContext, report: ObjectReport): void {
  if (spec.tls === undefined) return;
  requireTlsSecret(spec.tls.certificate.secretName, meta.namespace, lookup, 'spec.tls.certificate.secretName', report);
}
