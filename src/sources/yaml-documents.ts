/**
 * YAML (and JSON, which is YAML) text to plain values with positions. Texts of problems are ours, never the library's:
 * its messages may quote the text around a mistake, and that may be a Secret's value.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseAllDocuments, visit } from 'yaml';
import type { Document, ErrorCode, ParsedNode, YAMLError, YAMLMap } from 'yaml';
import { splitPath } from '../api/field-path.ts';
import type { Locate } from '../api/object.ts';
import type { SourcePosition, Violation } from '../api/violation.ts';

/** A larger file is refused unread: with more, one bad file could hold the process up for seconds. */
export const MOST_FILE_BYTES = 4 * 1024 * 1024;
/** More documents are refused unparsed: each costs a syntax tree of its own, however little it says. */
export const MOST_DOCUMENTS = 5000;
/** Aliases may multiply what is read by this much; more is the attack known as a billion laughs. */
const MOST_ALIASES = 100;

export interface ReadDocument {
  readonly value: unknown;
  readonly locate: Locate;
}

/** Empty documents are left out. One problem makes the whole file unreadable, as for kubectl. */
export type ReadText =
  { readonly documents: readonly ReadDocument[] } | { readonly documents?: never; readonly violation: Violation };

/** `file` is the name that positions carry. */
export function readYaml(file: string, text: string): ReadText {
  if (holdsMoreDocuments(text, MOST_DOCUMENTS)) {
    const problem = `holds more than ${MOST_DOCUMENTS} documents`;
    return { violation: createViolation(file, { line: 1, problem, fix: 'split it' }) };
  }
  const lines = new LineCounter();
  let line = 1;
  try {
    const parsed = parseYaml(text, lines);
    const positions = createPositions(file, text);
    const documents: ReadDocument[] = [];
    for (const [index, document] of parsed.entries()) {
      line = lines.linePos(document.range[0]).line;
      const problem = findProblem(document, lines);
      if (problem !== undefined) return { violation: createViolation(file, problem) };
      const value: unknown = document.toJS({ maxAliasCount: MOST_ALIASES });
      if (value !== null && value !== undefined) documents.push({ value, locate: field => positions(index, field) });
    }
    return { documents };
  } catch (error) {
    return { violation: createViolation(file, { line, ...explainFailure(error) }) };
  }
}

/** Counts the lines that part documents. `...` parts them without `---` too, and may stand before one that counts already. */
const holdsMoreDocuments = (text: string, most: number): boolean =>
  holdsMore(text, /^---(?=\s|$)/gm, most) || holdsMore(text, /^\.\.\.(?=\s|$)/gm, most);

function holdsMore(text: string, marker: RegExp, most: number): boolean {
  for (let count = 0; count <= most; count += 1) if (!marker.test(text)) return false;
  return true;
}

interface Problem {
  readonly line: number;
  readonly problem: string;
  readonly fix: string;
}

const createViolation = (file: string, { line, problem, fix }: Problem): Violation => ({
  severity: 'error',
  object: '',
  field: '',
  problem,
  fix,
  position: { file, line },
});

function parseYaml(text: string, lineCounter: LineCounter): Document.Parsed[] {
  const parsed = parseAllDocuments(text, {
    lineCounter,
    prettyErrors: false,
    stringKeys: true,
    uniqueKeys: false,
    resolveKnownTags: false,
    logLevel: 'silent',
    version: '1.2',
  });
  // An empty stream is an array too, with a member of its own that says so.
  return Array.isArray(parsed) ? [...parsed] : [];
}

/** The first mistake only: those after it mostly follow from it. */
function findProblem(document: Document.Parsed, lines: LineCounter): Problem | undefined {
  const found = [...document.errors, ...document.warnings].sort((a, b) => a.pos[0] - b.pos[0])[0];
  if (found !== undefined) return { line: lines.linePos(found.pos[0]).line, ...explainError(found) };
  return inspectNodes(document, lines);
}

/**
 * What the library leaves to us: aliases without an anchor, and fields written twice, which it would look for by comparing
 * each with each.
 */
function inspectNodes(document: Document.Parsed, lines: LineCounter): Problem | undefined {
  const anchors = new Set<string>();
  let problem: Problem | undefined;
  visit(document, (_, node) => {
    if (isAlias(node)) {
      if (anchors.has(node.source)) return undefined;
      const { line } = lines.linePos(node.range?.[0] ?? 0);
      const fix = 'write text with * in quotes';
      problem = { line, problem: `the alias *${node.source.slice(0, 64)} has no anchor before it`, fix };
      return visit.BREAK;
    }
    if (isMap(node)) {
      const offset = findSecond(node);
      if (offset !== undefined) {
        problem = {
          line: lines.linePos(offset).line,
          problem: 'the same field is written twice',
          fix: 'remove one of them',
        };
        return visit.BREAK;
      }
    }
    if ((isScalar(node) || isMap(node) || isSeq(node)) && node.anchor !== undefined) anchors.add(node.anchor);
    return undefined;
  });
  return problem;
}

/** Where a key stands that the map holds before. */
function findSecond({ items }: YAMLMap): number | undefined {
  const seen = new Set<unknown>();
  for (const { key } of items) {
    if (!isScalar(key)) continue;
    if (seen.has(key.value)) return key.range?.[0] ?? 0;
    seen.add(key.value);
  }
  return undefined;
}

const EXPLANATIONS: Partial<Record<ErrorCode, readonly [problem: string, fix: string]>> = {
  TAB_AS_INDENT: ['a tab stands in the indentation', 'indent with spaces'],
  BAD_INDENT: ['the indentation does not fit the lines around it', 'give members of one object the same indentation'],
  BLOCK_AS_IMPLICIT_KEY: [
    'a second ": " stands on the line, or the line after it is indented less or more than its neighbours',
    'put text that holds ": " in quotes, or indent the lines alike',
  ],
  MISSING_CHAR: ['a closing quote, a bracket or a ":" is missing', 'look at this line and the one before it'],
  BAD_SCALAR_START: ['text starts with a character that YAML keeps for itself', 'put the text in quotes'],
  BAD_DQ_ESCAPE: ['an escape in the quoted text is unknown', 'write \\\\ for a backslash, or use single quotes'],
  TAG_RESOLVE_FAILED: ['a tag (!name) is not known here', 'remove it'],
  NON_STRING_KEY: ['a field’s name is not text', 'write a name, in quotes if need be'],
  BAD_DIRECTIVE: ['a directive (%NAME) is not known here', 'remove the line'],
  RESOURCE_EXHAUSTION: ['lists or objects are nested too deeply', 'write it flatter'],
  KEY_OVER_1024_CHARS: ['a field’s name is longer than 1024 characters', 'shorten it'],
};

function explainError(error: YAMLError): { problem: string; fix: string } {
  if (error.code === 'BAD_INDENT' && error.message.startsWith('Flow ')) {
    return { problem: 'a bracket or brace that was opened above is not closed', fix: 'close it before this line' };
  }
  if (error.message.startsWith('Sequence item without')) {
    const fix = 'begin it with "- ", or give members of one object the same indentation';
    return {
      problem: 'the line is no item of the list around it, or is indented less or more than its neighbours',
      fix,
    };
  }
  const [problem, fix] = EXPLANATIONS[error.code] ?? [
    'the YAML cannot be read',
    'look at this line and the one before it',
  ];
  return { problem, fix };
}

/** The library throws on excessive aliases and, from its recursion, on excessive depth. */
function explainFailure(error: unknown): { problem: string; fix: string } {
  if (error instanceof RangeError)
    return { problem: 'lists or objects are nested too deeply', fix: 'write it flatter' };
  if (error instanceof ReferenceError)
    return { problem: 'aliases multiply the content too much', fix: 'write the content out' };
  return { problem: 'the YAML cannot be read', fix: 'write it anew, one object at a time' };
}

/** A warning or error about a file as a whole. */
export const createFileViolation = (file: string, problem: string, fix: string): Violation =>
  createViolation(file, { line: 1, problem, fix });

type Positions = (document: number, field: string) => SourcePosition | undefined;

/**
 * Lines of fields, found by parsing the text again when somebody asks: the syntax tree of a large file takes many times
 * its size, and nobody asks while all is well.
 */
function createPositions(file: string, text: string): Positions {
  let kept: WeakRef<{ documents: Document.Parsed[]; lines: LineCounter }> | undefined;
  return (index, field) => {
    let tree = kept?.deref();
    if (tree === undefined) {
      const lines = new LineCounter();
      tree = { documents: parseYaml(text, lines), lines };
      kept = new WeakRef(tree);
    }
    const document = tree.documents[index];
    if (document === undefined || document.contents === null) return undefined;
    const offset = findOffset(document, document.contents, splitPath(field));
    return { file, line: tree.lines.linePos(offset).line };
  };
}

/** Where the field, or its nearest parent that exists, begins. */
function findOffset(document: Document.Parsed, contents: ParsedNode, path: readonly (string | number)[]): number {
  let node: unknown = contents;
  let offset = contents.range[0];
  for (const segment of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && key.value === segment);
      if (pair === undefined || !isScalar(pair.key)) return offset;
      offset = pair.key.range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof segment === 'number') {
      node = node.items[segment];
      offset = readOffset(node) ?? offset;
    } else return offset;
  }
  return offset;
}

const readOffset = (node: unknown): number | undefined =>
  isScalar(node) || isMap(node) || isSeq(node) || isAlias(node) ? node.range?.[0] : undefined;
