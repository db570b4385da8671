/** Path templates of operations: literals, `{parameter}` for one segment, a trailing `*` for everything below. */
import { canonicalPath } from '../http/path.ts';
import { VISIBLE } from '../http/characters.ts';
import { quote } from '../api/words.ts';
import type { Problem } from './cel-inspect.ts';
import { percentDecode, percentEncode } from './encoding.ts';

export type Segment =
  /** `literal` in canonical form. */
  { readonly kind: 'literal'; readonly literal: string } | { readonly kind: 'parameter'; readonly name: string };

export interface PathTemplate {
  readonly segments: readonly Segment[];
  /** Ends with `*`: matches everything below. */
  readonly wildcard: boolean;
  readonly parameters: readonly string[];
  /** It ends with `/`; matters with `trailingSlash: Distinct`. */
  readonly trailingSlash: boolean;
}

const PARAMETER = /^\{([A-Za-z_][A-Za-z0-9_]{0,62})\}$/;

/** `basePath` and a template below it, or what is wrong with the template. */
export function parsePathTemplate(basePath: string, path: string): PathTemplate | Problem {
  const base = parseSegments(basePath);
  if ('problem' in base) return base;
  if (base.some(segment => segment.kind === 'parameter' || segment.literal === '*')) {
    return { problem: 'stands below a basePath with { } or *', fix: 'write parameters in the operation’s path' };
  }
  const texts = path.split('/').slice(1);
  const wildcard = texts.at(-1) === '*';
  const trailingSlash = texts.at(-1) === '';
  const own = parseSegments(`/${(wildcard || trailingSlash ? texts.slice(0, -1) : texts).join('/')}`);
  if ('problem' in own) return own;
  const parameters = own.flatMap(segment => (segment.kind === 'parameter' ? [segment.name] : []));
  const twice = parameters.find((name, index) => parameters.indexOf(name) !== index);
  if (twice !== undefined) return { problem: `has the parameter ${quote(twice)} twice`, fix: 'give one another name' };
  return { segments: [...base, ...own], wildcard, parameters, trailingSlash: trailingSlash && own.length > 0 };
}

function parseSegments(path: string): readonly Segment[] | Problem {
  const texts = path.split('/').slice(1);
  if (texts.at(-1) === '') texts.pop();
  const segments: Segment[] = [];
  for (const text of texts) {
    const segment = parseSegment(text);
    if ('problem' in segment) return segment;
    segments.push(segment);
  }
  return segments;
}

function parseSegment(text: string): Segment | Problem {
  const [, name] = PARAMETER.exec(text) ?? [];
  if (name !== undefined) return { kind: 'parameter', name };
  if (/[{}]/.test(text)) {
    return { problem: `has ${quote(text)}, which is neither a literal nor one {parameter}`, fix: 'write /{name}/' };
  }
  if (text.includes('*')) return { problem: 'has a * that is not its last segment', fix: 'write /* at the end only' };
  const encoded = Array.from(text, character =>
    VISIBLE[character.charCodeAt(0)] === 1 ? character : percentEncode(character),
  ).join('');
  const canonical = canonicalPath(`/${encoded}`);
  if (text === '' || canonical.path === undefined || canonical.path.indexOf('/', 1) >= 0 || canonical.path === '/') {
    return {
      problem: `has the segment ${quote(text)}, which no request can have`,
      fix: 'write it without //, ., .. and ;',
    };
  }
  return { kind: 'literal', literal: canonical.path.slice(1) };
}

/** The form in which segments count as the same where case does not matter: what an app may fold is folded. */
export function foldSegment(segment: string): string {
  return (percentDecode(segment) ?? segment).toLowerCase();
}
