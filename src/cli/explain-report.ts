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

function matchedOf({ port, api, operation, template, miss }: ToldExplanation): string {
  if (api === undefined) return miss ?? 'nothing';
  const where = typeof port === 'string' ? `port ${port} (by its name)` : `port ${port ?? '?'}`;
  return `Api ${api}, ${operation === null ? 'no operation' : `operation ${operation ?? ''}`} (${template ?? ''}), ${where}`;
}

const statusOf = (verdict: Verdict): number | undefined =>
  verdict.verdict === 'Deny' || verdict.verdict === 'Respond'
    ? renderDenial(verdict, { requestId: '', realm: '' }).status
    : undefined;

/** What was not checked was taken for good, so that it can only turn a permit into a denial. */
const isConditional = ({ verdict, notes }: Explanation): boolean => verdict.verdict !== 'Deny' && notes.length > 0;

function conclusionOf(told: ToldExplanation, paint: Paint): string {
  const { verdict, closed, status, reason = '', step, caller, conditional = false } = told;
  if (closed !== undefined) return `${paint('red', 'Deny')}: ${closed}`;
  const by = step === undefined ? '' : ` by ${step}`;
  if (verdict === 'Deny') return `${paint('red', 'Deny')} ${status ?? ''} ${reason}${by}`;
  const condition = conditional ? ', if what was not checked holds' : '';
  if (verdict === 'Respond') return `${paint('yellow', 'Respond')} ${status ?? ''}${by}${condition}`;
  const known = caller === undefined ? '' : `${conditional ? ';' : ','} caller ${caller}`;
  return `${paint(conditional ? 'yellow' : 'green', verdict)}${condition}${known}`;
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

function renderText(told: ToldExplanation, io: Pick<Io, 'isTTY' | 'columns' | 'env'>): string {
  const paint = createPaint(io.isTTY && io.env['NO_COLOR'] === undefined);
  const table = renderTable(TRACE_HEADER, told.steps.map(rowOf), { paint, columns: io.isTTY ? io.columns : Infinity });
  const changes = (told.headers ?? []).map(tellChange);
  if (told.queryCut === true) changes.push('query: a token is cut out');
  if (told.backend !== undefined) changes.push(told.backend);
  const audits = told.auditDenials.map(({ step, reason }) => `${step} would deny with ${reason}`);
  const section = (title: string, lines: readonly string[]): string =>
    lines.length === 0 ? '' : `\n${paint('bold', title)}\n${lines.map(line => `  ${line}\n`).join('')}`;
  return [
    `${paint('bold', 'Request')}  ${told.request}\n`,
    `${paint('bold', 'Matched')}  ${matchedOf(told)}\n`,
    told.judgedBy === undefined ? '' : `${paint('bold', 'Judged')}   by ${told.judgedBy}\n`,
    told.steps.length === 0 ? '' : `\n${table}`,
    `\n${paint('bold', 'Verdict')}  ${conclusionOf(told, paint)}\n`,
    section('The app gets', changes),
    section('Audit policies', audits),
    section('Not checked', told.notChecked),
  ].join('');
}

/** What is printed, as JSON holds it: a sidecar sends it over its admin socket. No value of a claim, header or secret. */
export interface ToldExplanation {
  readonly request: string;
  readonly port?: number | string;
  readonly api?: string;
  /** null: the Api has none. */
  readonly operation?: string | null;
  readonly template?: string;
  readonly miss?: string;
  /** The generation of a live sidecar. */
  readonly judgedBy?: string;
  readonly verdict: Verdict['verdict'];
  readonly closed?: string;
  readonly status?: number;
  readonly reason?: string;
  readonly step?: string;
  readonly caller?: string;
  readonly conditional?: boolean;
  readonly steps: readonly TraceEntry[];
  readonly headers?: readonly HeaderChange[];
  readonly queryCut?: boolean;
  /** What the sidecar presents to the app, in words. */
  readonly backend?: string;
  readonly auditDenials: readonly { readonly step: string; readonly reason: string }[];
  readonly notChecked: readonly string[];
}

function describeVerdict(
  verdict: Explanation['verdict'],
): Pick<ToldExplanation, 'verdict' | 'closed' | 'status' | 'reason' | 'step' | 'caller'> {
  if ('closed' in verdict) return { verdict: verdict.verdict, closed: verdict.closed };
  const status = statusOf(verdict);
  return {
    verdict: verdict.verdict,
    ...(status === undefined ? {} : { status }),
    ...('reason' in verdict ? { reason: verdict.reason } : {}),
    ...('label' in verdict && verdict.label !== undefined ? { step: verdict.label } : {}),
    ...(verdict.principal !== undefined ? { caller: verdict.principal.kind } : {}),
  };
}

export function describeExplanation(explanation: Explanation): ToldExplanation {
  const { request, port, match, miss, verdict, trace, notes } = explanation;
  const route = match?.kind === 'matched' ? match.route : undefined;
  const backend = 'edits' in verdict ? tellBackend(verdict.route) : '';
  const auditDenials = 'closed' in verdict ? [] : verdict.auditDenials;
  return {
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
    ...('edits' in verdict && verdict.edits.query !== undefined ? { queryCut: true } : {}),
    ...(backend === '' ? {} : { backend }),
    auditDenials: auditDenials.map(({ label, reason }) => ({ step: label, reason })),
    notChecked: [...new Set(notes)],
  };
}

export function renderExplanation(told: ToldExplanation, output: 'text' | 'json', io: Io): void {
  io.stdout.write(output === 'json' ? `${JSON.stringify(told, undefined, 2)}\n` : renderText(told, io));
}
