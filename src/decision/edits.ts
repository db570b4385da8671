/** What is forwarded instead of what was received, collected while the steps run. Nothing is allocated until one edits. */
import { foldName, type HeaderFields } from '../http/head.ts';
import type { RequestView } from '../policy/request.ts';
import type { CompiledHeaderSetting, TokenLocation } from '../policy/steps.ts';
import { removeCookies } from './cookies.ts';
import { removeParameter } from './query.ts';
import { removedHeaders } from './request-headers.ts';
import type { RequestEdits } from './verdict.ts';

export interface HeaderValues {
  readonly name: string;
  readonly values: readonly string[];
}

const NO_HEADERS: ReadonlyMap<string, HeaderValues> = new Map();
export const NO_EDITS: RequestEdits = { headers: NO_HEADERS };

export class Edits implements RequestEdits {
  readonly headers = new Map<string, HeaderValues>();
  query?: string;
  readonly #request: RequestView;
  readonly #reserved: ReadonlySet<string>;

  constructor(request: RequestView, reserved: ReadonlySet<string>) {
    this.#request = request;
    this.#reserved = reserved;
  }

  set(header: HeaderValues): void {
    this.headers.set(header.name.toLowerCase(), header);
  }

  remove(name: string): void {
    this.headers.set(name.toLowerCase(), { name, values: [] });
  }

  /** `ifExists` looks at what would be forwarded by now, not at what was received: a forged header does not exist. */
  apply(setting: CompiledHeaderSetting, value: string): void {
    const { name, ifExists } = setting;
    const present = ifExists === 'Override' ? [] : this.#forwarded(setting.lower);
    if (ifExists === 'Skip' && present.length > 0) return;
    this.headers.set(setting.lower, { name, values: [...present, value] });
  }

  /** `forwardToken: false`: cuts exactly this header, query parameter or cookie pair. */
  removeToken(location: TokenLocation): void {
    if (location.in === 'header') this.#removeSpellings(location.name);
    else if (location.in === 'query') this.query = removeParameter(this.query ?? this.#request.query, location.name);
    else this.#removeCookie(location.name);
  }

  /** What is left of the header is the spelling that a step read: the app might take another one for it. */
  keepOneSpelling(lower: string): void {
    const values = this.#forwarded(lower);
    this.#removeSpellings(lower);
    this.set({ name: lower, values });
  }

  /** An edit of a folded name takes every spelling with it. */
  #removeSpellings(name: string): void {
    this.remove(name);
    if (foldName(name) !== name.toLowerCase()) this.remove(foldName(name));
  }

  #removeCookie(name: string): void {
    const lines = this.#forwarded('cookie').map(line => removeCookies(line, cookie => cookie === name));
    this.set({ name: 'Cookie', values: lines.filter(line => line !== '') });
  }

  #forwarded(lower: string): readonly string[] {
    const edited = this.headers.get(lower);
    if (edited !== undefined) return edited.values;
    if (this.#reserved.has(foldName(lower))) return [];
    const values = valuesOf(this.#request.headers, lower);
    return values.length > 0 && removedHeaders(this.#request, this.#reserved)(lower) ? [] : values;
  }
}

const valuesOf = (headers: HeaderFields, lower: string): readonly string[] =>
  headers.values.filter((_, at) => headers.lower[at] === lower);
