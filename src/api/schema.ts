/**
 * api: ground floor, imports nothing. One description per kind, from which come the TypeScript type (`Infer`), the parser
 * (parse.ts), the custom resource definition (crd.ts) and the reference page (reference.ts).
 *
 * A schema is plain data. `Infer` gives the type of the *parsed* value: durations are milliseconds, quantities are bytes.
 */

/** What every schema may say about itself; the reference page and the CRD print it. */
export interface Doc {
  /** One or more sentences: what it does, its unit, what happens when it fails. */
  readonly description?: string;
  readonly example?: unknown;
}

declare const parsed: unique symbol;

/** A schema whose parsed value has type T. `T` is carried by a phantom member that never exists at run time. */
export interface Schema<T> extends Doc {
  readonly [parsed]?: T;
  readonly type: SchemaType;
}

export type SchemaType =
  | 'string'
  | 'integer'
  | 'boolean'
  | 'enum'
  | 'duration'
  | 'quantity'
  | 'list'
  | 'map'
  | 'object'
  | 'json'
  | 'intOrString';

export type Infer<S> = S extends Schema<infer T> ? T : never;

export interface StringSchema extends Schema<string> {
  readonly type: 'string';
  readonly minLength?: number;
  readonly maxLength: number;
  /** RE2-compatible, anchored; the CRD carries it too. Keep it linear: it runs in the JavaScript engine at load. */
  readonly pattern?: string;
  /** What `pattern` wants, in words, for the error text. */
  readonly patternText?: string;
  /** What the string holds; policy/ checks what a pattern cannot. */
  readonly holds?:
    | 'cel'
    | 'template'
    | 'url'
    | 'cidr'
    /** Text of a signature with ${body}, ${timestamp} and ${id}. */
    | 'signedPayload'
    /** An address, a CIDR or FIRST-LAST. */
    | 'addressRange'
    /** A header that is read. */
    | 'headerName'
    /** A header that is written or removed: framing and hop-by-hop names are refused (P13). */
    | 'settableHeader'
    /** A path of literals and {parameters}, below which requests are matched. */
    | 'pathTemplate'
    /** The name of another Sallyport object: `name`, in a ClusterAuthPolicy `namespace/name`. */
    | 'reference'
    | 'address'
    | 'time';
}

export interface IntegerSchema extends Schema<number> {
  readonly type: 'integer';
  readonly minimum: number;
  readonly maximum: number;
}

export interface BooleanSchema extends Schema<boolean> {
  readonly type: 'boolean';
  /** Only true may be written. */
  readonly only?: true;
}

export interface EnumSchema<V extends string> extends Schema<V> {
  readonly type: 'enum';
  readonly values: readonly V[];
}

/** `10s`, `1h30m`, `500ms`, `0s`; parsed to milliseconds. */
export interface DurationSchema extends Schema<number> {
  readonly type: 'duration';
  readonly minimumMs: number;
  readonly maximumMs: number;
}

/** `64Ki`, `1Mi`, `1048576`; parsed to bytes. */
export interface QuantitySchema extends Schema<number> {
  readonly type: 'quantity';
  readonly minimumBytes: number;
  readonly maximumBytes: number;
}

export interface IntOrStringSchema extends Schema<number | string> {
  readonly type: 'intOrString';
  readonly minimum: number;
  readonly maximum: number;
  readonly maxLength: number;
  /** Of the text; see StringSchema. */
  readonly pattern: string;
  /** What the value is, in words, for the error text. */
  readonly patternText: string;
}

export interface ListSchema<T> extends Schema<readonly T[]> {
  readonly type: 'list';
  readonly items: Schema<T>;
  readonly minItems?: number;
  readonly maxItems: number;
  /** Items are unique by this member (a list map in Kubernetes terms). */
  readonly key?: string;
  /** Items are unique as a whole (scalars only). */
  readonly set?: boolean;
}

export interface MapSchema<T> extends Schema<Readonly<Record<string, T>>> {
  readonly type: 'map';
  readonly values: Schema<T>;
  readonly maxProperties: number;
  readonly maxKeyLength?: number;
  /** What every key must be; the API server checks its length only, since key patterns cost too much CEL there. */
  readonly keys?: StringSchema;
}

export interface ObjectSchema<T> extends Schema<T> {
  readonly type: 'object';
  readonly fields: Readonly<Record<string, Field<unknown, Presence>>>;
  /** Exactly one of these members is set. */
  readonly exactlyOneOf?: readonly (readonly string[])[];
  /** At most one of these members is set. */
  readonly atMostOneOf?: readonly (readonly string[])[];
  /** At least one of these members is set. */
  readonly atLeastOneOf?: readonly (readonly string[])[];
  /** Rules that CEL states to the API server and `test` states to our parser; both doors must agree. */
  readonly rules?: readonly Rule[];
  /** In the CRD without descriptions and CEL rules: what it holds is described and ruled elsewhere, and would cost too much here. */
  readonly compact?: true;
  /** A key of a Secret or ConfigMap: `namespace` is wanted in a ClusterAuthPolicy and refused elsewhere. */
  readonly holds?: 'keyRef';
}

/** A cross-field rule, written once for each door. */
export interface Rule {
  /** For the API server (`x-kubernetes-validations`). */
  readonly cel: string;
  /** For our parser, over the parsed object; true when the rule holds. */
  readonly test: (value: Readonly<Record<string, unknown>>) => boolean;
  /** The member to blame, relative to the object; empty for the object itself. */
  readonly field: string;
  readonly problem: string;
  readonly fix: string;
}

/** Any JSON object, kept as it is: null-prototype, at most 16 levels deep. */
export interface JsonSchema extends Schema<Readonly<Record<string, unknown>>> {
  readonly type: 'json';
  /** Of its text. */
  readonly maxBytes: number;
}

/** Any schema, told apart by `type`. */
export type AnySchema =
  | StringSchema
  | IntegerSchema
  | BooleanSchema
  | EnumSchema<string>
  | DurationSchema
  | QuantitySchema
  | IntOrStringSchema
  | ListSchema<unknown>
  | MapSchema<unknown>
  | ObjectSchema<unknown>
  | JsonSchema;

/** A schema of unknown parsed type as the closed union: there are no other schemas than those of this file. */
export const narrow = (schema: Schema<unknown>): AnySchema => schema as AnySchema;

export type Presence = 'required' | 'optional' | 'defaulted';

export interface Field<T, P extends Presence> {
  readonly schema: Schema<T>;
  readonly presence: P;
  /** As a user would write it (`10s`, not 10000). */
  readonly default?: unknown;
}

type Fields = Readonly<Record<string, Field<unknown, Presence>>>;
type OptionalKeys<F extends Fields> = { [K in keyof F]: F[K]['presence'] extends 'optional' ? K : never }[keyof F];
type FieldType<F> = F extends Field<infer T, Presence> ? T : never;
type Flatten<T> = { readonly [K in keyof T]: T[K] };
export type ObjectOf<F extends Fields> = Flatten<
  { readonly [K in Exclude<keyof F, OptionalKeys<F>>]: FieldType<F[K]> } & {
    readonly [K in OptionalKeys<F>]?: FieldType<F[K]>;
  }
>;

type Options<S> = Omit<S, 'type' | typeof parsed>;

export const string = (options: Options<StringSchema>): StringSchema => ({ type: 'string', ...options });
export const integer = (options: Options<IntegerSchema>): IntegerSchema => ({ type: 'integer', ...options });
export const boolean = (options: Doc = {}): BooleanSchema => ({ type: 'boolean', ...options });
export const duration = (options: Options<DurationSchema>): DurationSchema => ({ type: 'duration', ...options });
export const quantity = (options: Options<QuantitySchema>): QuantitySchema => ({ type: 'quantity', ...options });
export const intOrString = (options: Options<IntOrStringSchema>): IntOrStringSchema => ({
  type: 'intOrString',
  ...options,
});

export const enumeration = <const V extends string>(
  values: readonly V[],
  options: Omit<Options<EnumSchema<V>>, 'values'> = {},
): EnumSchema<V> => ({ type: 'enum', values, ...options });

export const list = <T>(items: Schema<T>, options: Omit<Options<ListSchema<T>>, 'items'>): ListSchema<T> => ({
  type: 'list',
  items,
  ...options,
});

export const map = <T>(values: Schema<T>, options: Omit<Options<MapSchema<T>>, 'values'>): MapSchema<T> => ({
  type: 'map',
  values,
  ...options,
});

export const object = <const F extends Fields>(
  fields: F,
  options: Omit<Options<ObjectSchema<ObjectOf<F>>>, 'fields'> = {},
): ObjectSchema<ObjectOf<F>> => ({ type: 'object', fields, ...options });

export const json = (options: Options<JsonSchema>): JsonSchema => ({ type: 'json', ...options });

export const required = <T>(schema: Schema<T>): Field<T, 'required'> => ({ schema, presence: 'required' });
export const optional = <T>(schema: Schema<T>): Field<T, 'optional'> => ({ schema, presence: 'optional' });
/** Absent means `value`, which is written as a user would write it and parsed like any other. */
export const defaulted = <T>(schema: Schema<T>, value: unknown): Field<T, 'defaulted'> => ({
  schema,
  presence: 'defaulted',
  default: value,
});

/** The same schema with other words, where a shared shape needs the place's own description. */
export const describe = <S extends Schema<unknown>>(schema: S, description: string, example?: unknown): S => ({
  ...schema,
  description,
  ...(example === undefined ? {} : { example }),
});
