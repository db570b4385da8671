/** What a conversion gathers as it walks through a document: steps, objects beside the policy, notes. */
import { translate, type ExpressionScope } from './cel-text.ts';
import { parseExpression } from './csharp-expression.ts';
import { NotConvertible } from './csharp-tokens.ts';
import type { PolicyElement } from './policy-document.ts';

/** A manifest or a part of one, as YAML will show it. */
export type Plain = string | number | boolean | null | readonly Plain[] | { readonly [key: string]: Plain | undefined };
export type PlainObject = Readonly<Record<string, Plain | undefined>>;

/** One thing that needs a person: what it was, why it was not (wholly) converted, what to do. */
export interface Note {
  readonly line: number;
  readonly element: string;
  readonly message: string;
  /** `lost`: not in the manifests; `check`: converted, but somebody must look or fill something in. */
  readonly severity: 'lost' | 'check';
}

export interface Step {
  readonly name: string;
  readonly body: PlainObject;
  readonly line: number;
}

/** One entry of `errors.overrides`. */
export interface ErrorOverride {
  readonly reasons: readonly string[];
  readonly status?: number;
  readonly message?: string;
}

export type Section = 'inbound' | 'outbound';

export interface Conversion {
  readonly name: string;
  readonly namespace: string | undefined;
  readonly section: Section;
  /** Objects beside the policy, by `Kind name`. */
  readonly objects: Map<string, { readonly kind: string; readonly name: string; readonly spec: PlainObject }>;
  /** `variables` of the policy: named values. */
  readonly variables: Map<string, PlainObject>;
  readonly notes: Note[];
  readonly errors: ErrorOverride[];
  /** Names of credentials that the policy presents, by sort. */
  readonly backend: Set<string>;
  readonly lookups: Map<string, string>;
  readonly tokens: Set<string>;
  /** How the policy names an object beside it: `namespace/name` in a cluster policy. */
  refer(name: string): string;
  /** `namespace` in key references of a cluster policy. */
  readonly keyNamespace: { readonly namespace?: string };
  /** A step name that is not taken yet. */
  nameStep(base: string): string;
  note(element: Pick<PolicyElement, 'line' | 'name'>, message: string, severity?: Note['severity']): void;
}

export function createConversion(options: {
  readonly name: string;
  readonly namespace: string | undefined;
  readonly isCluster: boolean;
}) {
  const taken = new Set<string>();
  const shared = {
    ...options,
    objects: new Map<string, { readonly kind: string; readonly name: string; readonly spec: PlainObject }>(),
    variables: new Map<string, PlainObject>(),
    notes: [] as Note[],
    errors: [] as ErrorOverride[],
    backend: new Set<string>(),
    lookups: new Map<string, string>(),
    tokens: new Set<string>(),
    refer: (name: string) => (options.isCluster ? `${options.namespace ?? 'default'}/${name}` : name),
    keyNamespace: options.isCluster ? { namespace: options.namespace ?? 'default' } : {},
    nameStep(base: string): string {
      const root = kebab(base);
      for (let count = 1; ; count += 1) {
        const name = count === 1 ? root : `${root}-${count}`;
        if (taken.has(name)) continue;
        taken.add(name);
        return name;
      }
    },
    note({ line, name }: Pick<PolicyElement, 'line' | 'name'>, message: string, severity: Note['severity'] = 'check') {
      shared.notes.push({ line, element: name, message, severity });
    },
  };
  return (section: Section): Conversion => ({ ...shared, section });
}

/** A DNS label of what somebody wrote. */
export function kebab(text: string): string {
  const plain = text
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return plain === '' ? 'step' : plain.slice(0, 50);
}

/** A name under `vars`. */
export const identifier = (text: string): string => text.replace(/[^A-Za-z0-9_]/g, '_').replace(/^(?=\d)/, '_');

export function openScope(conversion: Conversion, hasResponse = conversion.section === 'outbound'): ExpressionScope {
  return { hasResponse, lookups: conversion.lookups, tokens: conversion.tokens, nameVariable: identifier };
}

export const isExpression = (text: string): boolean => /^\s*@[({]/.test(text);
const NAMED_VALUE = /\{\{([^{}]+)\}\}/g;
const ONE_NAMED_VALUE = /^\{\{([^{}]+)\}\}$/;

/** A named value becomes a variable of the policy, read from the ConfigMap `named-values`. */
function bindNamedValue(conversion: Conversion, name: string): string {
  const key = identifier(name.trim());
  conversion.variables.set(key, {
    configMapKeyRef: { name: 'named-values', key: name.trim(), ...conversion.keyNamespace },
  });
  return key;
}

/** CEL of a condition. @throws NotConvertible */
export function convertCondition(text: string, conversion: Conversion, hasResponse?: boolean): string {
  const source = text.trim();
  if (/^(true|false)$/i.test(source)) return source.toLowerCase();
  return translate(parseExpression(withNamedValues(source, conversion)), openScope(conversion, hasResponse)).text;
}

/** Named values inside of an expression stand in strings or in place of them. */
function withNamedValues(source: string, conversion: Conversion): string {
  return source
    .replace(/"\{\{([^{}]+)\}\}"/g, (_, name: string) => `context.Variables["${bindNamedValue(conversion, name)}"]`)
    .replace(NAMED_VALUE, (_, name: string) => `context.Variables["${bindNamedValue(conversion, name)}"]`);
}

/** A template of a text that may be an expression or hold named values. @throws NotConvertible */
export function convertTemplate(text: string, conversion: Conversion): string {
  if (isExpression(text)) return `\${${convertCondition(text, conversion)}}`;
  if (/@\(/.test(text)) throw new NotConvertible('text around an expression');
  return text
    .replaceAll('${', () => '$${')
    .replace(NAMED_VALUE, (_, name: string) => `\${vars.${bindNamedValue(conversion, name)}}`);
}

/** A text that must be known when the policy loads. @throws NotConvertible for expressions and named values. */
export function requireLiteral(text: string, what: string): string {
  if (isExpression(text)) throw new NotConvertible(`an expression as ${what}`);
  if (NAMED_VALUE.test(text)) {
    NAMED_VALUE.lastIndex = 0;
    throw new NotConvertible(`the named value ${text} as ${what}: write it out`);
  }
  return text;
}

/** A value source: a named value by reference, anything else as it is. @throws NotConvertible for expressions. */
export function convertValueSource(text: string, kind: 'secret' | 'plain'): PlainObject {
  const name = ONE_NAMED_VALUE.exec(text.trim())?.[1]?.trim();
  if (name !== undefined) {
    const reference = { name: 'named-values', key: name };
    return kind === 'secret' ? { secretKeyRef: reference } : { configMapKeyRef: reference };
  }
  return { value: requireLiteral(text, 'a value') };
}

/** A named value that must come from a Secret; a literal is moved into a Secret that the user makes. */
export function convertSecret(
  text: string,
  conversion: Conversion,
  element: PolicyElement,
  name: string,
  key: string,
): PlainObject {
  const source = convertValueSource(text, 'secret');
  if ('secretKeyRef' in source) {
    conversion.note(element, `make a Secret named-values with the key ${ONE_NAMED_VALUE.exec(text.trim())?.[1] ?? ''}`);
    return source;
  }
  // The value stays out of the output: manifests are committed, documents with keys in them should not be.
  conversion.note(element, `put the ${key} that the document holds into a Secret ${name}, key ${key}`);
  return { secretKeyRef: { name, key } };
}

export function readNumber(element: PolicyElement, attribute: string): number | undefined {
  const text = element.attributes.get(attribute);
  if (text === undefined) return undefined;
  const literal = requireLiteral(text, attribute);
  if (!/^\d+$/.test(literal)) throw new NotConvertible(`${attribute}="${literal}", which is not a whole number`);
  return Number(literal);
}

export function readFlag(element: PolicyElement, attribute: string, fallback: boolean): boolean {
  const text = element.attributes.get(attribute);
  return text === undefined ? fallback : requireLiteral(text, attribute).toLowerCase() === 'true';
}

export const findChild = (element: PolicyElement, name: string): PolicyElement | undefined =>
  element.children.find(child => child.name === name);

/** Texts of `<plural><singular>…</singular></plural>`. */
export const readList = (element: PolicyElement, name: string): readonly string[] =>
  (findChild(element, name)?.children ?? []).map(({ text }) => text);

/** Seconds as the API writes durations. */
export function formatSeconds(seconds: number): string {
  if (seconds > 0 && seconds % 86_400 === 0) return `${(seconds / 86_400) * 24}h`;
  if (seconds > 0 && seconds % 3600 === 0) return `${seconds / 3600}h`;
  if (seconds > 0 && seconds % 60 === 0) return `${seconds / 60}m`;
  return `${seconds}s`;
}
