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
