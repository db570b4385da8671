/**
 * convert: floor 2. Azure API Management policy documents become manifests. May import api and policy. This file: the
 * document itself, with the line of everything in it.
 */
import { parseXml, XmlElement, XmlError, XmlText } from '@rgrove/parse-xml';
import { escapeExpressions } from './expression-scan.ts';

export interface PolicyElement {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly PolicyElement[];
  /** Text directly inside, entities resolved, trimmed. */
  readonly text: string;
  /** From 1. */
  readonly line: number;
}

/** The document is no policy document at all; nothing can be converted. */
export class DocumentProblem extends Error {
  readonly line: number;
  constructor(message: string, line: number) {
    super(message);
    this.line = line;
  }
}

/**
 * The tree of a policy document. Expressions (`@(…)`, `@{…}`) may hold `<`, `&` and quotes as they are, as the gateway's
 * editor stores them ("rawxml").
 *
 * @throws DocumentProblem when it is not well-formed otherwise.
 */
export function readPolicyDocument(source: string): PolicyElement {
  checkBounds(source);
  const text = escapeExpressions(source.replace(/^\u{feff}/u, ''));
  const lineAt = createLineIndex(text);
  try {
    const { root } = parseXml(text, { includeOffsets: true, ignoreUndefinedEntities: true });
    if (root === null) throw new DocumentProblem('the document is empty', 1);
    return readElement(root, lineAt);
  } catch (error) {
    if (!(error instanceof XmlError)) throw error;
    throw new DocumentProblem(describeXmlError(error), error.line);
  }
}

const MOST_CHARACTERS = 1_048_576;
const MOST_NESTED = 64;

/** What no gateway holds, and what would cost more than it says: a document type may define entities. */
function checkBounds(source: string): void {
  if (source.length > MOST_CHARACTERS) throw new DocumentProblem('the document is larger than 1Mi', 1);
  const type = source.search(/<!(?:DOCTYPE|ENTITY)/i);
  if (type !== -1) throw new DocumentProblem('a document type is not read: remove <!DOCTYPE …>', lineOf(source, type));
  let depth = 0;
  for (const tag of source.matchAll(/<(\/)?[A-Za-z][^<>]*?(\/)?>/g)) {
    if (tag[1] !== undefined) depth -= 1;
    else if (tag[2] === undefined) depth += 1;
    if (depth > MOST_NESTED)
      throw new DocumentProblem(`elements are nested more than ${MOST_NESTED} deep`, lineOf(source, tag.index));
  }
}

const lineOf = (source: string, at: number): number => source.slice(0, at).split('\n').length;

/** The first line of the parser's text, without its position, which stands beside it. */
const describeXmlError = (error: XmlError): string =>
  (error.message.split('\n')[0] ?? 'not well-formed').replace(/ \(line \d+, column \d+\)$/, '');

function readElement(element: XmlElement, lineAt: (offset: number) => number): PolicyElement {
  const children = element.children.flatMap(child => (child instanceof XmlElement ? [readElement(child, lineAt)] : []));
  const texts = element.children.flatMap(child => (child instanceof XmlText ? [child.text] : []));
  return {
    name: element.name,
    attributes: new Map(Object.entries(element.attributes)),
    children,
    text: texts.join('').trim(),
    line: lineAt(element.start),
  };
}

function createLineIndex(text: string): (offset: number) => number {
  const starts = [0, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)];
  return offset => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  };
}
