/** Walks a schema over raw JSON. Recursion is bounded by the schema's depth, whatever the value is. */
import { itemPath, memberPath } from './field-path.ts';
import {
  narrow,
  type AnySchema,
  type Field,
  type JsonSchema,
  type ListSchema,
  type MapSchema,
  type ObjectSchema,
  type Presence,
} from './schema.ts';
import {
  parseBoolean,
  parseDurationField,
  parseEnum,
  parseInteger,
  parseIntOrString,
  parseQuantityField,
  parseString,
} from './scalars.ts';
import { BAD, refuse, refuseUnknown, type Scene } from './scene.ts';
import { describeValue, listWords, nearestName, quote } from './words.ts';

type RawObject = Readonly<Record<string, unknown>>;

/** True for JSON objects: what has members by name. */
export const isRawObject = (raw: unknown): raw is RawObject =>
  typeof raw === 'object' && raw !== null && !Array.isArray(raw);

/** The parsed value, or BAD when anything in it was refused; every problem in it is reported. Never throws. */
export function parseValue(schema: AnySchema, raw: unknown, field: string, scene: Scene): unknown {
  switch (schema.type) {
    case 'string':
      return parseString(schema, raw, field, scene);
    case 'integer':
      return parseInteger(schema, raw, field, scene);
    case 'boolean':
      return parseBoolean(schema, raw, field, scene);
    case 'enum':
      return parseEnum(schema, raw, field, scene);
    case 'duration':
      return parseDurationField(schema, raw, field, scene);
    case 'quantity':
      return parseQuantityField(schema, raw, field, scene);
    case 'intOrString':
      return parseIntOrString(schema, raw, field, scene);
    case 'list':
      return parseList(schema, raw, field, scene);
    case 'map':
      return parseMap(schema, raw, field, scene);
    case 'object':
      return parseMembers(schema, raw, field, scene);
    case 'json':
      return parseJson(schema, raw, field, scene);
  }
}

const MOST_LEVELS = 16;

function parseJson({ maxBytes }: JsonSchema, raw: unknown, field: string, scene: Scene): unknown {
  if (!isRawObject(raw))
    return refuse(
      scene,
      field,
      `${describeValue(raw)}, but an object is wanted`,
      'write lines of the form name: value',
    );
  const copy = copyJson(raw, MOST_LEVELS);
  if (copy === BAD) return refuse(scene, field, `is nested more than ${MOST_LEVELS} levels deep`, 'make it flatter');
  if (JSON.stringify(copy).length > maxBytes)
    return refuse(scene, field, `is longer than ${maxBytes} characters as JSON`, 'shorten it');
  return copy;
}

/** Null-prototype, so that `__proto__` is a name like any other. */
function copyJson(raw: unknown, levels: number): unknown {
  if (levels === 0) return BAD;
  if (Array.isArray(raw)) {
    const items = raw.map((item: unknown) => copyJson(item, levels - 1));
    return items.includes(BAD) ? BAD : items;
  }
  if (!isRawObject(raw)) return raw;
  const copy = Object.create(null) as Record<string, unknown>;
  for (const [name, value] of Object.entries(raw)) {
    const inner = copyJson(value, levels - 1);
    if (inner === BAD) return BAD;
    copy[name] = inner;
  }
  return copy;
}

function parseList(schema: ListSchema<unknown>, raw: unknown, field: string, scene: Scene): unknown {
  if (!Array.isArray(raw)) {
    return refuse(scene, field, `${describeValue(raw)}, but a list is wanted`, 'write a list: one "- " item a line');
  }
  const items: readonly unknown[] = raw;
  if (items.length > schema.maxItems) {
    return refuse(scene, field, `has ${items.length} items`, `write at most ${schema.maxItems}`);
  }
  if (items.length < (schema.minItems ?? 0)) {
    return refuse(scene, field, 'is an empty list', 'write at least one item');
  }
  const itemSchema = narrow(schema.items);
  const parsed = items.map((item, index) => parseValue(itemSchema, item, itemPath(field, index), scene));
  const unique = checkUnique(schema, items, field, scene);
  return unique && !parsed.includes(BAD) ? parsed : BAD;
}

/** List maps are unique by their key, sets as a whole. */
function checkUnique(schema: ListSchema<unknown>, items: readonly unknown[], field: string, scene: Scene): boolean {
  const { key } = schema;
  if (key === undefined && schema.set !== true) return true;
  const seen = new Map<unknown, number>();
  let unique = true;
  for (const [index, item] of items.entries()) {
    const identity = key === undefined ? item : isRawObject(item) && Object.hasOwn(item, key) ? item[key] : undefined;
    if (identity === undefined || typeof identity === 'object') continue;
    const first = seen.get(identity);
    if (first === undefined) seen.set(identity, index);
    else {
      const at = key === undefined ? itemPath(field, index) : memberPath(itemPath(field, index), key);
      const said = typeof identity === 'string' ? quote(identity) : JSON.stringify(identity);
      refuse(
        scene,
        at,
        `${said} is already used by item ${first}`,
        key === undefined ? 'remove it' : 'give it another name',
      );
      unique = false;
    }
  }
  return unique;
}

function parseMap(schema: MapSchema<unknown>, raw: unknown, field: string, scene: Scene): unknown {
  if (!isRawObject(raw)) {
    return refuse(
      scene,
      field,
      `${describeValue(raw)}, but names and values are wanted`,
      'write lines of the form name: value',
    );
  }
  const keys = Object.keys(raw);
  if (keys.length > schema.maxProperties) {
    return refuse(scene, field, `has ${keys.length} entries`, `write at most ${schema.maxProperties}`);
  }
  const parsed = Object.create(null) as Record<string, unknown>;
  const values = narrow(schema.values);
  let good = true;
  for (const key of keys) {
    const at = memberPath(field, key);
    const value = parseValue(values, raw[key], at, scene);
    good = checkKey(schema, key, at, scene) && value !== BAD && good;
    parsed[key] = value;
  }
  return good ? parsed : BAD;
}

function checkKey(schema: MapSchema<unknown>, key: string, at: string, scene: Scene): boolean {
  if (schema.maxKeyLength !== undefined && key.length > schema.maxKeyLength) {
    return refuse(scene, at, `the name is longer than ${schema.maxKeyLength} characters`, 'shorten it') !== BAD;
  }
  return schema.keys === undefined || parseString(schema.keys, key, at, scene) !== BAD;
}

function parseMembers(schema: ObjectSchema<unknown>, raw: unknown, field: string, scene: Scene): unknown {
  if (!isRawObject(raw)) {
    const members = listWords(Object.keys(schema.fields).slice(0, 4), 'or');
    const fix = members === '' ? 'write {}' : `write an object with members such as ${members}`;
    return refuse(scene, field, `${describeValue(raw)}, but an object is wanted`, fix);
  }
  const before = scene.violations.length;
  const unknown = refuseUnknownMembers(schema, raw, field, scene);
  const parsed: Record<string, unknown> = {};
  for (const [name, member] of Object.entries(schema.fields)) {
    const value = parseMember(member, Object.hasOwn(raw, name) ? raw[name] : undefined, memberPath(field, name), scene);
    if (value !== undefined) parsed[name] = value;
  }
  checkChoices(schema, raw, unknown, field, scene);
  if (schema.holds === 'keyRef') checkNamespace(raw, field, scene);
  // Rules read parsed members, so they wait until all of them are good.
  if (scene.violations.length === before) checkRules(schema, parsed, field, scene);
  return scene.violations.length === before ? parsed : BAD;
}

function parseMember(member: Field<unknown, Presence>, raw: unknown, field: string, scene: Scene): unknown {
  const schema = narrow(member.schema);
  if (raw !== undefined) return parseValue(schema, raw, field, scene);
  if (member.presence === 'optional') return undefined;
  if (member.presence === 'defaulted') return parseValue(schema, member.default, field, scene);
  return refuse(scene, field, 'is missing', adviseMissing(schema));
}

function adviseMissing(schema: AnySchema): string {
  if (schema.type === 'enum') return `write ${listWords(schema.values, 'or')}`;
  const { description } = schema;
  if (description === undefined) return 'add it';
  const sentence = /^.*?[.](?= |$)/s.exec(description)?.[0] ?? description;
  return `add it: ${sentence.replace(/[.]$/, '')}`;
}

/** True when there are unknown members; each is reported. */
function refuseUnknownMembers(schema: ObjectSchema<unknown>, raw: RawObject, field: string, scene: Scene): boolean {
  const known = Object.keys(schema.fields);
  const unknown = Object.keys(raw).filter(key => !Object.hasOwn(schema.fields, key));
  for (const key of unknown) {
    const near = nearestName(key, known);
    // YAML 1.1, as kubectl reads it, takes an unquoted on for true.
    const isOn = key === 'true' && known.includes('on');
    const fix = isOn ? 'write "on" in quotes' : near === undefined ? adviseKnown(known) : `did you mean "${near}"?`;
    refuseUnknown(scene, memberPath(field, key), 'is not a known field', fix);
  }
  return unknown.length > 0;
}

function adviseKnown(known: readonly string[]): string {
  if (known.length === 0) return 'remove it: nothing may stand here';
  return known.length > 20 ? 'remove it' : `remove it, or write ${listWords(known, 'or')}`;
}

function checkChoices(
  schema: ObjectSchema<unknown>,
  raw: RawObject,
  /** An unknown member is probably a misspelt one of these, and reported already. */
  unknown: boolean,
  field: string,
  scene: Scene,
): void {
  const set = (names: readonly string[]): string[] => names.filter(name => Object.hasOwn(raw, name));
  const refuseNone = (names: readonly string[], quantity: string): void => {
    if (unknown || set(names).length > 0) return;
    refuse(scene, field, `has none of ${listWords(names, 'and')}`, `write ${quantity} one of them`);
  };
  for (const names of schema.exactlyOneOf ?? []) {
    refuseNone(names, 'exactly');
    refuseSecond(set(names), names, field, scene);
  }
  for (const names of schema.atMostOneOf ?? []) refuseSecond(set(names), names, field, scene);
  for (const names of schema.atLeastOneOf ?? []) refuseNone(names, 'at least');
}

function refuseSecond(present: readonly string[], names: readonly string[], field: string, scene: Scene): void {
  const [, second] = present;
  if (second === undefined) return;
  const both = present.length === names.length;
  const fix = names.length <= 8 && !both ? `keep one of ${listWords(names, 'and')}` : 'keep one of them';
  refuse(scene, memberPath(field, second), `${listWords(present, 'and')} exclude each other`, fix);
}

function checkNamespace(raw: RawObject, field: string, scene: Scene): void {
  const given = Object.hasOwn(raw, 'namespace');
  if (scene.clusterScoped && !given) {
    refuse(
      scene,
      memberPath(field, 'namespace'),
      'is missing',
      'name the namespace: a cluster policy has none of its own',
    );
  }
  if (!scene.clusterScoped && given) {
    const problem = 'only a ClusterAuthPolicy may name a namespace here';
    refuse(scene, memberPath(field, 'namespace'), problem, 'remove it');
  }
}

function checkRules(schema: ObjectSchema<unknown>, parsed: RawObject, field: string, scene: Scene): void {
  for (const rule of schema.rules ?? []) {
    if (rule.test(parsed)) continue;
    const at = rule.field === '' ? field : `${field}.${rule.field}`;
    refuse(scene, at, rule.problem, rule.fix);
  }
}
