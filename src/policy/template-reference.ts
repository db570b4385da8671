/** How templates write values, for each place where one can land: the table of the reference page. */
import { code, renderTable } from '../api/markdown.ts';
import { SERVICE_REQUEST } from './cel-environment.ts';
import type { TemplatePlace } from './expression.ts';
import { compileDictionary, compilePairs, compileTemplate, MAX_HEADER, MAX_RENDERED } from './template.ts';

interface PlaceEntry {
  readonly place: TemplatePlace;
  readonly where: string;
  readonly how: string;
  /** What is written; the value in it is that of VALUE. */
  readonly source: string;
  readonly value?: string;
}

/** What the examples put into `${deviceId}`. */
const VALUE = 'robot 7/ä';

const PLACES: readonly PlaceEntry[] = [
  {
    place: 'header',
    where: '`setHeaders[].value`, `respond.headers`, `request.headers` of a DeviceAuthService',
    how: `As it is; what is not visible ASCII fails. At most ${MAX_HEADER} characters.`,
    source: 'id=${deviceId}',
    value: 'robot 7',
  },
  {
    place: 'pairs',
    where: '`setHeaders[].pairs`',
    how: '`key=value` joined by `;` with one at the end, keys in byte order, values percent-encoded but for `A-Z a-z 0-9 - . _ ~`.',
    source: '${deviceId}',
  },
  {
    place: 'dictionary',
    where: '`setHeaders[].dictionary`',
    how: 'A dictionary of RFC 9651; a value that is one hole keeps its type (int, bool), others are strings.',
    source: '${deviceId}',
  },
  {
    place: 'query',
    where: '`request.query` of a DeviceAuthService',
    how: 'Percent-encoded but for `A-Z a-z 0-9 - . _ ~`.',
    source: '${deviceId}',
  },
  {
    place: 'path',
    where: '`url` of a DeviceAuthService, from its path on',
    how: 'Percent-encoded alike; a value that makes a segment `.` or `..` fails.',
    source: 'https://d.example/check/${deviceId}',
  },
  {
    place: 'text',
    where:
      '`respond.body` of other media types, `setVariables`, `key` of `rateLimit`, `quota` and `concurrency`, `deviceAuth.deviceId` and `certificateIdentity`, `rewriteHosts.to`',
    how: `As it is; control characters fail. At most ${MAX_RENDERED} characters, wherever text is made. Nothing is escaped.`,
    source: 'device ${deviceId}',
  },
  {
    place: 'json',
    where:
      '`respond.body` where `contentType` is JSON; `request.body` of a DeviceAuthService, alike, or by its first character',
    how: 'For the inside of a JSON string; an int or bool may stand alone. Control characters fail.',
    source: '{"id": "${deviceId}"}',
    value: 'robot "7"',
  },
  {
    place: 'markup',
    where: '`respond.body` where `contentType` is HTML or XML',
    how: 'For text and for quoted attributes.',
    source: '<b>${deviceId}</b>',
    value: '<robot>',
  },
  {
    place: 'query',
    where: '`respond.body` where `contentType` is application/x-www-form-urlencoded',
    how: 'Percent-encoded, as in a query.',
    source: 'id=${deviceId}',
  },
];

function renderPlace({ place, where, how, source, value = VALUE }: PlaceEntry): readonly string[] {
  const compiled =
    place === 'pairs'
      ? compilePairs({ id: source }, SERVICE_REQUEST)
      : place === 'dictionary'
        ? compileDictionary({ id: source }, SERVICE_REQUEST)
        : compileTemplate(source, place, SERVICE_REQUEST);
  if ('problem' in compiled) throw new Error(`the example for ${place} ${compiled.problem}`);
  const written = place === 'pairs' || place === 'dictionary' ? `{id: "${source}"}` : source;
  return [where, how, code(written), code(compiled.render({ deviceId: value }))];
}

export const renderTemplates = (): readonly string[] => [
  '## Templates',
  'Text with holes: `${…}` holds an expression of type string, int or bool and ends at its balanced `}`; `$${` is a literal `${`. Convert other types with `string(…)` or `join(…)`. A value is encoded for the place where it lands, so that it cannot break out of it:',
  renderTable(
    [
      'Place',
      'Encoding',
      'Written',
      `Becomes, for ${code(VALUE)} (header: ${code('robot 7')}; JSON: ${code('robot "7"')}; HTML: ${code('<robot>')})`,
    ],
    PLACES.map(renderPlace),
  ),
];
