/** Schemas as Kubernetes knows them: structural OpenAPI v3 with bounds, defaults and CEL rules of bounded cost. */
import { DURATION_PATTERN, formatDuration } from './duration.ts';
import { FRAMING_HEADERS, FRAMING_PROBLEM } from './holds.ts';
import { DNS_SUBDOMAIN } from './kinds/shared.ts';
import { QUANTITY_PATTERN } from './quantity.ts';
import {
  narrow,
  type AnySchema,
  type DurationSchema,
  type ListSchema,
  type MapSchema,
  type ObjectSchema,
  type QuantitySchema,
  type StringSchema,
} from './schema.ts';
import { listWords } from './words.ts';

/** JSONSchemaProps of apiextensions.k8s.io/v1, as plain data. */
export type JsonSchema = Readonly<Record<string, unknown>>;

interface Validation {
  readonly rule: string;
  readonly message: string;
  readonly fieldPath?: string;
}

export interface RenderScope {
  readonly clusterScoped: boolean;
  /** Inside a list: rules over text of unknown length would be too dear there. */
  readonly repeated: boolean;
}

/** `five digits and a unit`, four times. */
const DURATION_LENGTH = 28;
const QUALIFIED_NAME = DNS_SUBDOMAIN.replace('^', '^[a-z0-9]([-a-z0-9]*[a-z0-9])?/');

export function renderSchema(schema: AnySchema, scope: RenderScope): JsonSchema {
  const rendered = { ...renderText(schema), ...renderType(schema, scope) };
  if (schema.type !== 'object' || schema.compact !== true) return rendered;
  return { ...shorten(rendered), ...renderText(schema) };
}

/** Without descriptions and rules; the parser, which the webhook runs too, checks all the same. */
function shorten(schema: JsonSchema): JsonSchema {
  const kept: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(schema)) {
    if (name === 'description' || name === 'x-kubernetes-validations') continue;
    if (name === 'properties') {
      const members = Object.entries(value as Readonly<Record<string, JsonSchema>>);
      kept[name] = Object.fromEntries(members.map(([member, of]) => [member, shorten(of)]));
    } else if (name === 'items' || (name === 'additionalProperties' && typeof value === 'object')) {
      kept[name] = shorten(value as JsonSchema);
    } else kept[name] = value;
  }
  return kept;
}

/** `example` has no place in a structural schema, so it goes into the description. */
function renderText({ description, example }: AnySchema): JsonSchema {
  if (description === undefined) return {};
  return { description: example === undefined ? description : `${description} Example: ${JSON.stringify(example)}` };
}

function renderType(schema: AnySchema, scope: RenderScope): JsonSchema {
  switch (schema.type) {
    case 'string':
      return renderString(schema, scope);
    case 'integer':
      return { type: 'integer', format: 'int64', minimum: schema.minimum, maximum: schema.maximum };
    case 'boolean':
      return schema.only === true ? { type: 'boolean', enum: [true] } : { type: 'boolean' };
    case 'enum':
      return { type: 'string', enum: [...schema.values] };
    case 'duration':
      return renderDuration(schema);
    case 'quantity':
      return renderQuantity(schema, scope);
    case 'intOrString': {
      const { minimum, maximum, maxLength, pattern } = schema;
      return { 'x-kubernetes-int-or-string': true, minimum, maximum, maxLength, pattern };
    }
    case 'list':
      return renderList(schema, scope);
    case 'map':
      return renderMap(schema, scope);
    case 'object':
      return renderObject(schema, scope);
    case 'json':
      return { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  }
}

function renderString(
  { minLength, maxLength, pattern, holds }: StringSchema,
  { clusterScoped }: RenderScope,
): JsonSchema {
  const own = holds === 'reference' ? (clusterScoped ? QUALIFIED_NAME : DNS_SUBDOMAIN) : pattern;
  return {
    type: 'string',
    ...(minLength === undefined ? {} : { minLength }),
    maxLength,
    ...(own === undefined ? {} : { pattern: own }),
    ...renderValidations(holds === 'settableHeader' ? [FRAMING_RULE] : []),
  };
}

/** Names that a back end folds together count as one, as in the parser. Names in maps are the parser's alone: too dear here. */
const FRAMING_RULE: Validation = {
  rule: `!(self.lowerAscii().replace('_', '-').replace('.', '-') in [${[...FRAMING_HEADERS].map(name => `'${name}'`).join(', ')}]) && !self.lowerAscii().replace('_', '-').startsWith('proxy-')`,
  message: `the header ${FRAMING_PROBLEM}`,
};

function renderDuration({ minimumMs, maximumMs }: DurationSchema): JsonSchema {
  const [least, most] = [formatDuration(minimumMs), formatDuration(maximumMs)];
  const rule = `duration(self) >= duration('${least}') && duration(self) <= duration('${most}')`;
  return {
    type: 'string',
    maxLength: DURATION_LENGTH,
    pattern: DURATION_PATTERN,
    'x-kubernetes-validations': [{ rule, message: `write a duration from ${least} to ${most}` }],
  };
}

function renderQuantity({ minimumBytes, maximumBytes }: QuantitySchema, { repeated }: RenderScope): JsonSchema {
  const bounded = {
    'x-kubernetes-int-or-string': true,
    minimum: minimumBytes,
    maximum: maximumBytes,
    maxLength: 22,
    pattern: QUANTITY_PATTERN,
  };
  if (repeated) return bounded;
  const compare = `quantity(self).compareTo(quantity('${minimumBytes}')) >= 0 && quantity(self).compareTo(quantity('${maximumBytes}')) <= 0`;
  const message = `write bytes from ${minimumBytes} to ${maximumBytes}`;
  return {
    ...bounded,
    'x-kubernetes-validations': [{ rule: `type(self) == int || (isQuantity(self) && ${compare})`, message }],
  };
}

function renderList(schema: ListSchema<unknown>, scope: RenderScope): JsonSchema {
  const items = renderSchema(narrow(schema.items), { ...scope, repeated: true });
  return {
    type: 'array',
    ...(schema.minItems === undefined ? {} : { minItems: schema.minItems }),
    maxItems: schema.maxItems,
    ...renderListType(schema),
    items,
  };
}

function renderListType({ key, set }: ListSchema<unknown>): JsonSchema {
  if (key !== undefined) return { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': [key] };
  return { 'x-kubernetes-list-type': set === true ? 'set' : 'atomic' };
}

function renderMap({ values, maxProperties, maxKeyLength }: MapSchema<unknown>, scope: RenderScope): JsonSchema {
  const validations: Validation[] =
    maxKeyLength === undefined
      ? []
      : [
          {
            rule: `self.all(key, size(key) <= ${maxKeyLength})`,
            message: `names have at most ${maxKeyLength} characters`,
          },
        ];
  return {
    type: 'object',
    maxProperties,
    additionalProperties: renderSchema(narrow(values), { ...scope, repeated: true }),
    ...renderValidations(validations),
  };
}

function renderObject(schema: ObjectSchema<unknown>, scope: RenderScope): JsonSchema {
  const properties: Record<string, JsonSchema> = {};
  const required: string[] = [];
  for (const [name, field] of Object.entries(schema.fields)) {
    const member = narrow(field.schema);
    const byDefault = field.presence === 'defaulted' ? { default: expandDefault(member, field.default) } : {};
    properties[name] = { ...renderSchema(member, scope), ...byDefault };
    if (field.presence === 'required') required.push(name);
  }
  if (schema.holds === 'keyRef' && scope.clusterScoped) required.push('namespace');
  return {
    type: 'object',
    ...(required.length === 0 ? {} : { required }),
    ...(Object.keys(properties).length === 0 ? { maxProperties: 0 } : { properties }),
    ...renderValidations(collectValidations(schema, scope)),
  };
}

const renderValidations = (validations: readonly Validation[]): JsonSchema =>
  validations.length === 0 ? {} : { 'x-kubernetes-validations': validations };

function collectValidations(schema: ObjectSchema<unknown>, { clusterScoped }: RenderScope): Validation[] {
  const validations: Validation[] = [];
  for (const names of schema.exactlyOneOf ?? []) {
    validations.push({ rule: `${count(names)} == 1`, message: `write exactly one of ${listWords(names, 'and')}` });
  }
  for (const names of schema.atMostOneOf ?? []) {
    validations.push({ rule: `${count(names)} <= 1`, message: `write at most one of ${listWords(names, 'and')}` });
  }
  for (const names of schema.atLeastOneOf ?? []) {
    validations.push({
      rule: names.map(has).join(' || '),
      message: `write at least one of ${listWords(names, 'and')}`,
    });
  }
  if (schema.holds === 'keyRef' && !clusterScoped) {
    validations.push({ rule: `!${has('namespace')}`, message: 'only a ClusterAuthPolicy may name a namespace here' });
  }
  for (const { cel, field, problem, fix } of schema.rules ?? []) {
    const fieldPath = field === '' ? {} : { fieldPath: `.${field}` };
    validations.push({ rule: cel, message: `${problem}, ${fix}`, ...fieldPath });
  }
  return validations;
}

/** Cheaper to estimate than a filtered list. */
const count = (names: readonly string[]): string => names.map(name => `(${has(name)} ? 1 : 0)`).join(' + ');

/** Words that CEL keeps for itself are escaped as the API server wants them. */
const CEL_WORDS: ReadonlySet<string> = new Set(
  'true false null in as break const continue else for function if import let loop package namespace return'.split(' '),
);
const has = (name: string): string => `has(self.${CEL_WORDS.has(name) ? `__${name}__` : name})`;

/** The default with the defaults of its members, since the API server judges a default by the rules as it stands. */
export function expandDefault(schema: AnySchema, value: unknown): unknown {
  if (schema.type === 'list' && Array.isArray(value)) {
    return value.map((item: unknown) => expandDefault(narrow(schema.items), item));
  }
  if (schema.type !== 'object' || typeof value !== 'object' || value === null) return value;
  const given = new Map<string, unknown>(Object.entries(value));
  const expanded: Record<string, unknown> = {};
  for (const [name, field] of Object.entries(schema.fields)) {
    const member = given.has(name) ? given.get(name) : field.presence === 'defaulted' ? field.default : undefined;
    if (member !== undefined) expanded[name] = expandDefault(narrow(field.schema), member);
  }
  return expanded;
}
