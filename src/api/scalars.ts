/** Scalar values: raw JSON in, parsed value or BAD out, with every problem reported. */
import { formatDuration, parseDuration } from './duration.ts';
import { checkHolds } from './holds.ts';
import { formatQuantity, parseQuantity } from './quantity.ts';
import type {
  BooleanSchema,
  DurationSchema,
  EnumSchema,
  IntegerSchema,
  IntOrStringSchema,
  QuantitySchema,
  StringSchema,
} from './schema.ts';
import { BAD, refuse, refuseUnknown, type Scene } from './scene.ts';
import { describeValue, listWords, nearestName, quote } from './words.ts';

export function parseString(schema: StringSchema, raw: unknown, field: string, scene: Scene): unknown {
  if (typeof raw !== 'string') {
    return refuse(scene, field, `${describeValue(raw)}, but text is wanted`, adviseText(raw, schema));
  }
  if (raw.length < (schema.minLength ?? 0)) {
    return refuse(scene, field, 'is empty', `write ${schema.patternText ?? 'at least one character'}`);
  }
  if (countCharacters(raw, schema.maxLength) > schema.maxLength) {
    const problem = `is longer than ${schema.maxLength} characters`;
    return refuse(scene, field, problem, 'shorten it');
  }
  if (schema.pattern !== undefined && !new RegExp(schema.pattern, 'u').test(raw)) {
    const wanted = schema.patternText ?? `text that matches ${schema.pattern}`;
    return refuse(scene, field, `${quote(raw)} is not allowed here`, `write ${wanted}`);
  }
  return checkHolds(schema.holds, raw, field, scene) ? raw : BAD;
}

function adviseText(raw: unknown, schema: StringSchema): string {
  if (raw === null) return 'give it a value, or remove the field';
  if (typeof raw === 'number' || typeof raw === 'boolean') return `write it in quotes: "${String(raw)}"`;
  return schema.patternText === undefined ? 'write text' : `write ${schema.patternText}`;
}

/** Counts characters as OpenAPI does (code points), but only where UTF-16 units are too many already. */
function countCharacters(text: string, limit: number): number {
  if (text.length <= limit || text.length > limit * 2) return text.length;
  return Array.from(text).length;
}

export function parseInteger(schema: IntegerSchema, raw: unknown, field: string, scene: Scene): unknown {
  const range = `${schema.minimum} to ${schema.maximum}`;
  if (typeof raw !== 'number') {
    const quoted = typeof raw === 'string' && /^-?[0-9]+$/.test(raw);
    const fix = quoted ? `write it without quotes: ${raw.slice(0, 20)}` : `write a whole number from ${range}`;
    return refuse(scene, field, `${describeValue(raw)}, but a whole number is wanted`, fix);
  }
  if (!Number.isSafeInteger(raw)) {
    return refuse(scene, field, `${String(raw)} is not a whole number`, `write a whole number from ${range}`);
  }
  if (raw < schema.minimum || raw > schema.maximum) {
    return refuse(scene, field, `${raw} is out of bounds`, `write a whole number from ${range}`);
  }
  return raw;
}

export function parseIntOrString(schema: IntOrStringSchema, raw: unknown, field: string, scene: Scene): unknown {
  const fix = `write ${schema.patternText}`;
  if (typeof raw === 'number') {
    const good = Number.isSafeInteger(raw) && raw >= schema.minimum && raw <= schema.maximum;
    return good ? raw : refuse(scene, field, `${String(raw)} is out of bounds`, fix);
  }
  if (typeof raw !== 'string')
    return refuse(scene, field, `${describeValue(raw)}, but a number or name is wanted`, fix);
  if (/^[0-9]+$/.test(raw)) {
    return refuse(scene, field, `${describeValue(raw)}, which reads as a name`, 'write the number without quotes');
  }
  if (raw.length > schema.maxLength) {
    return refuse(scene, field, `is longer than ${schema.maxLength} characters`, fix);
  }
  return new RegExp(schema.pattern, 'u').test(raw)
    ? raw
    : refuse(scene, field, `${quote(raw)} is not allowed here`, fix);
}

export function parseBoolean(schema: BooleanSchema, raw: unknown, field: string, scene: Scene): unknown {
  if (typeof raw !== 'boolean') {
    const fix = schema.only === true ? 'write true' : 'write true or false, without quotes';
    return refuse(scene, field, `${describeValue(raw)}, but true or false is wanted`, fix);
  }
  if (schema.only === true && !raw) return refuse(scene, field, 'is false, which means nothing here', 'remove it');
  return raw;
}

export function parseEnum(schema: EnumSchema<string>, raw: unknown, field: string, scene: Scene): unknown {
  const known = listWords(schema.values, 'or');
  if (typeof raw !== 'string') {
    const bare = typeof raw === 'number' || typeof raw === 'boolean';
    const fix = bare && schema.values.includes(String(raw)) ? `write it in quotes: "${String(raw)}"` : `write ${known}`;
    return refuse(scene, field, `${describeValue(raw)}, but one of a fixed set of words is wanted`, fix);
  }
  if (schema.values.includes(raw)) return raw;
  const near = nearestName(raw, schema.values);
  const short = schema.values.length <= 16 ? `write ${known}` : 'write one of those that the reference page lists';
  return refuseUnknown(
    scene,
    field,
    `${quote(raw)} is not known`,
    near === undefined ? short : `did you mean "${near}"?`,
  );
}

export function parseDurationField(schema: DurationSchema, raw: unknown, field: string, scene: Scene): unknown {
  const example = 'write a duration such as 500ms, 10s or 1h30m';
  if (typeof raw !== 'string') {
    const fix = typeof raw === 'number' ? `give it a unit: ${String(raw)}s or ${String(raw)}ms` : example;
    return refuse(scene, field, `${describeValue(raw)}, but a duration is wanted`, fix);
  }
  const ms = parseDuration(raw);
  if (ms === undefined) return refuse(scene, field, `${quote(raw)} is not a duration`, example);
  if (ms < schema.minimumMs || ms > schema.maximumMs) {
    const range = `${formatDuration(schema.minimumMs)} to ${formatDuration(schema.maximumMs)}`;
    return refuse(scene, field, `${raw} is out of bounds`, `write a duration from ${range}`);
  }
  return ms;
}

export function parseQuantityField(schema: QuantitySchema, raw: unknown, field: string, scene: Scene): unknown {
  const example = 'write bytes such as 65536, 64Ki or 1Mi';
  if (typeof raw !== 'string' && typeof raw !== 'number') {
    return refuse(scene, field, `${describeValue(raw)}, but a number of bytes is wanted`, example);
  }
  const bytes = parseQuantity(raw);
  if (bytes === undefined) {
    const said = typeof raw === 'string' ? quote(raw) : String(raw);
    return refuse(scene, field, `${said} is not a number of bytes`, example);
  }
  if (bytes < schema.minimumBytes || bytes > schema.maximumBytes) {
    const range = `${formatQuantity(schema.minimumBytes)} to ${formatQuantity(schema.maximumBytes)}`;
    return refuse(scene, field, `${String(raw)} is out of bounds`, `write bytes from ${range}`);
  }
  return bytes;
}
