/** The headers of an app's answer while response steps change them; nothing is copied until one does. */
import type { HeaderFields } from '../http/head.ts';
import type { CompiledHeaderSetting } from '../policy/steps.ts';
import type { HeaderValues } from './edits.ts';

const NO_EDITS: ReadonlyMap<string, HeaderValues> = new Map();

export class AnswerHeaders {
  readonly #received: HeaderFields;
  #edits: Map<string, HeaderValues> | undefined;

  constructor(received: HeaderFields) {
    this.#received = received;
  }

  /** By lower-case name: what is sent instead of whatever the app sent; no values: removed. */
  get edits(): ReadonlyMap<string, HeaderValues> {
    return this.#edits ?? NO_EDITS;
  }

  values(lower: string): readonly string[] {
    const edited = this.#edits?.get(lower);
    if (edited !== undefined) return edited.values;
    const { lower: names, values } = this.#received;
    return names.includes(lower) ? values.filter((_, at) => names[at] === lower) : [];
  }

  remove(lower: string): void {
    if (this.values(lower).length > 0) this.#set(lower, { name: lower, values: [] });
  }

  removeWhere(removes: (lower: string) => boolean): void {
    for (const lower of this.#received.lower) if (removes(lower)) this.remove(lower);
    for (const [lower] of this.#edits ?? []) if (removes(lower)) this.remove(lower);
  }

  apply({ name, lower, ifExists }: Pick<CompiledHeaderSetting, 'name' | 'lower' | 'ifExists'>, value: string): void {
    const present = ifExists === 'Override' ? [] : this.values(lower);
    if (ifExists === 'Skip' && present.length > 0) return;
    this.#set(lower, { name, values: [...present, value] });
  }

  set(name: string, value: string): void {
    this.#set(name.toLowerCase(), { name, values: [value] });
  }

  rewrite(lower: string, name: string, rewrite: (value: string) => string): void {
    const before = this.values(lower);
    if (before.length === 0) return;
    const after = before.map(rewrite);
    if (after.some((value, at) => value !== before[at])) this.#set(lower, { name, values: after });
  }

  #set(lower: string, header: HeaderValues): void {
    (this.#edits ??= new Map()).set(lower, header);
  }
}
