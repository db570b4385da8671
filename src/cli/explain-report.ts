/** How a decision is printed: a table where a terminal is, plain lines where none is, JSON for programs. */
import { renderDenial } from '../decision/challenge.ts';
import type { TraceEntry } from '../decision/trace.ts';
import type { RequestEdits, Verdict } from '../decision/verdict.ts';
import type { Match } from '../policy/model.ts';
import { tellBackend } from './explain-effective.ts';
import type { Io } from './io.ts';
import { createPaint, renderTable, type Cell, type Colour, type Paint } from './text.ts';

export interface Explanation {
  /** As the user wrote it. */
  readonly request: string;
  /** Of the listener: its number, or its name where manifests tell no number. */
  readonly port?: number | string | undefined;
  readonly match?: Match | undefined;
  /** Why nothing was matched. */
  readonly miss?: string | undefined;
  /** `closed`: the connection ends without an answer, for this reason. */
  readonly verdict: Verdict | { readonly verdict: 'Deny'; readonly closed: string };
  readonly trace: readonly TraceEntry[];
  /** What was not checked. */
  readonly notes: readonly string[];
}

const COLOURS: Readonly<Record<TraceEntry['verdict'], Colour>> = {
  passed: 'green',
  denied: 'red',
  skipped: 'dim',
  'not run': 'dim',
  audit: 'yellow',
};

export const TRACE_HEADER = ['SCOPE', 'POLICY/STEP', 'TYPE', 'VERDICT', 'REASON', 'COST', 'DETAIL'] as const;

function sourceOf({ kind, policy, step, sealed, audit }: TraceEntry): string {
  const marks = [kind === 'ClusterAuthPolicy' && 'cluster', !sealed && 'unsealed', audit && 'audit'].filter(Boolean);
  return `${policy}/${step}${marks.length === 0 ? '' : ` (${marks.join(', ')})`}`;
}

const costOf = ({ verdict, microseconds }: TraceEntry): string =>
  verdict === 'not run' ? '' : `${microseconds < 10 ? microseconds.toFixed(1) : Math.round(microseconds)} µs`;

export const rowOf = (entry: TraceEntry): Cell[] => [
  { text: entry.scope },
  { text: sourceOf(entry) },
  { text: entry.type },
  { text: entry.verdict, colour: COLOURS[entry.verdict] },
  { text: entry.reason ?? '' },
  { text: costOf(entry) },
  { text: entry.detail ?? '' },
];

function matchedOf({ port, match, miss }: Explanation): string {
  if (match?.kind !== 'matched') return miss ?? 'nothing';
  const { api, operation, template } = match.route;
  const where = typeof port === 'string' ? `port ${port} (by its name)` : `port ${port ?? '?'}`;
  return `Api ${api.key}, ${operation === undefined ? 'no operation' : `operation ${operation}`} (${template}), ${where}`;
}

const statusOf = (verdict: Verdict): number | undefined =>
  verdict.verdict === 'Deny' || verdict.verdict === 'Respond'
    ? renderDenial(verdict, { requestId: '', realm: '' }).status
    : undefined;

/** What was not checked was taken for good, so that it can only turn a permit into a denial. */
const isConditional = ({ verdict, notes }: Explanation): boolean => verdict.verdict !== 'Deny' && notes.length > 0;

function conclusionOf(explanation: Explanation, paint: Paint): string {
  const { verdict } = explanation;
  if ('closed' in verdict) return `${paint('red', 'Deny')}: ${verdict.closed}`;
  const status = statusOf(verdict);
  if (verdict.verdict === 'Deny') {
    const by = verdict.label === undefined ? '' : ` by ${verdict.label}`;
    return `${paint('red', 'Deny')} ${status ?? ''} ${verdict.reason}${by}`;
  }
  const condition = isConditional(explanation) ? ', if what was not checked holds' : '';
  if (verdict.verdict === 'Respond') {
    return `${paint('yellow', 'Respond')} ${status ?? ''} by ${verdict.label}${condition}`;
  }
  const caller =
    verdict.principal === undefined ? '' : `${condition === '' ? ',' : ';'} caller ${verdict.principal.kind}`;
  return `${paint(condition === '' ? 'green' : 'yellow', verdict.verdict)}${condition}${caller}`;
}

export interface HeaderChange {
  readonly name: string;
  readonly action: 'set' | 'removed';
  /** Characters of what is set; the value itself may be a claim or an identity. */
  readonly characters?: number;
}

function changesOf(edits: RequestEdits): readonly HeaderChange[] {
  return [...edits.headers.values()].map(({ name, values }) =>
    values.length === 0 ? { name, action: 'removed' } : { name, action: 'set', characters: values.join().length },
  );
}

const tellChange = ({ name, action, characters }: HeaderChange): string =>
  action === 'removed' ? `${name}: removed if sent` : `${name}: set, ${characters ?? 0} characters`;

function renderText(explanation: Explanation, io: Pick<Io, 'isTTY' | 'columns' | 'env'>): string {
  const { request, verdict, trace, notes } = explanation;
  const paint = createPaint(io.isTTY && io.env['NO_COLOR'] === undefined);
  const table = renderTable(TRACE_HEADER, trace.map(rowOf), { paint, columns: io.isTTY ? io.columns : Infinity });
  const changes = 'edits' in verdict ? changesOf(verdict.edits).map(tellChange) : [];
  if ('edits' in verdict && verdict.edits.query !== undefined) changes.push('query: a token is cut out');
  const backend = 'edits' in verdict ? tellBackend(verdict.route) : '';
  if (backend !== '') changes.push(backend);
  const audits = auditDenialsOf(verdict).map(({ label, reason }) => `${label} would deny with ${reason}`);
  const section = (title: string, lines: readonly string[]): string =>
    lines.length === 0 ? '' : `\n${paint('bold', title)}\n${lines.map(line => `  ${line}\n`).join('')}`;
  return [
    `${paint('bold', 'Request')}  ${request}\n`,
    `${paint('bold', 'Matched')}  ${matchedOf(explanation)}\n`,
    trace.length === 0 ? '' : `\n${table}`,
    `\n${paint('bold', 'Verdict')}  ${conclusionOf(explanation, paint)}\n`,
    section('The app gets', changes),
    section('Audit policies', audits),
    section('Not checked', [...new Set(notes)]),
  ].join('');
}

const auditDenialsOf = (verdict: Explanation['verdict']): Verdict['auditDenials'] =>
  'closed' in verdict ? [] : verdict.auditDenials;

function describeVerdict(verdict: Explanation['verdict']): Readonly<Record<string, unknown>> {
  if ('closed' in verdict) return { verdict: verdict.verdict, closed: verdict.closed };
  const status = statusOf(verdict);
  return {
    verdict: verdict.verdict,
    ...(status === undefined ? {} : { status }),
    ...('reason' in verdict ? { reason: verdict.reason } : {}),
    ...('label' in verdict ? { step: verdict.label } : {}),
    ...(verdict.principal !== undefined ? { caller: verdict.principal.kind } : {}),
  };
}

function renderJson(explanation: Explanation): string {
  const { request, port, match, miss, verdict, trace, notes } = explanation;
  const route = match?.kind === 'matched' ? match.route : undefined;
  const told = {
    request,
    ...(port === undefined ? {} : { port }),
    ...(route === undefined
      ? {}
      : { api: route.api.key, operation: route.operation ?? null, template: route.template }),
    ...(miss === undefined ? {} : { miss }),
    ...describeVerdict(verdict),
    ...(isConditional(explanation) ? { conditional: true } : {}),
    steps: trace.map(entry => ({ ...entry, microseconds: Math.round(entry.microseconds * 10) / 10 })),
    ...('edits' in verdict ? { headers: changesOf(verdict.edits) } : {}),
    auditDenials: auditDenialsOf(verdict).map(({ label, reason }) => ({ step: label, reason })),
    notChecked: [...new Set(notes)],
  };
  return `${JSON.stringify(told, undefined, 2)}\n`;
}

export function renderExplanation(explanation: Explanation, output: 'text' | 'json', io: Io): void {
  io.stdout.write(output === 'json' ? renderJson(explanation) : renderText(explanation, io));
}
