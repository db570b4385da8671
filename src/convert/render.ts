/** Manifests as YAML, with the notes as comments where a person will read them. */
import { Document } from 'yaml';
import type { Note, PlainObject } from './conversion.ts';
import type { Converted } from './convert.ts';

/** Documents separated by `---`; before the first, what needs a person. `origin` is the name of the file. */
export function renderConverted({ objects, notes }: Converted, origin: string): string {
  const head = [`# Converted from ${origin}.`, ...notes.map(note => `# ${renderNote(note, origin)}`)].join('\n');
  return `${head}\n---\n${objects.map(renderManifest).join('---\n')}`;
}

export const renderNote = ({ line, element, message, severity }: Note, origin: string): string =>
  `${origin}:${line}: <${element}>: ${severity === 'lost' ? 'not converted: ' : ''}${message}`;

function renderManifest(object: PlainObject): string {
  const document = new Document(JSON.parse(JSON.stringify(object)), { aliasDuplicateObjects: false });
  return document.toString({ lineWidth: 120, flowCollectionPadding: false });
}
