/** Steps that answer browsers, keep values and rewrite bodies. Rules P5, P6 and P12 of the design say what they do. */
import {
  boolean,
  defaulted,
  duration,
  enumeration,
  list,
  map,
  object,
  quantity,
  required,
  string,
  type Infer,
} from '../schema.ts';
import { headerName, template, variableName } from './shared.ts';

const SECOND = 1000;
const DAY = 86_400 * SECOND;

const origin = string({
  minLength: 1,
  maxLength: 512,
  pattern: '^(\\*|[a-z][a-z0-9+.-]*://([a-z0-9._-]+|\\[[0-9a-f:.]+\\])(:[0-9]{1,5})?)$',
  patternText: 'an origin in lower case such as https://a.example or http://localhost:3000, without a path, or "*"',
});

const method = string({
  minLength: 1,
  maxLength: 32,
  pattern: '^[A-Z][A-Z-]*$',
  patternText: 'a method in upper case',
});

export const corsStep = object(
  {
    allowOrigins: required(
      list(origin, {
        description:
          'Origins whose pages may read answers, compared as a whole; ["*"]: any. To another origin the answer carries no CORS headers, whatever the app says.',
        example: ['https://a.example'],
        minItems: 1,
        maxItems: 64,
        set: true,
      }),
    ),
    allowMethods: defaulted(
      list(method, {
        description: 'Methods that a preflight allows, besides GET, HEAD and POST, which browsers always allow.',
        example: ['PUT', 'DELETE'],
        maxItems: 32,
        set: true,
      }),
      [],
    ),
    allowHeaders: defaulted(
      list(headerName, {
        description:
          'Request headers that a preflight allows, besides those that browsers always allow. Authorization has to be named.',
        example: ['Authorization', 'Content-Type'],
        maxItems: 64,
        set: true,
      }),
      [],
    ),
    exposeHeaders: defaulted(
      list(headerName, {
        description: 'Headers of answers that pages may read, besides those that browsers always show.',
        maxItems: 64,
        set: true,
      }),
      [],
    ),
    allowCredentials: defaulted(
      boolean({ description: 'Whether pages may send cookies and certificates, and read the answers to them.' }),
      false,
    ),
    maxAge: defaulted(
      duration({
        minimumMs: 0,
        maximumMs: DAY,
        description: 'How long browsers may remember the answer to a preflight.',
      }),
      '10m',
    ),
  },
  {
    rules: [
      {
        cel: "self.allowOrigins.size() == 1 || !self.allowOrigins.exists(o, o == '*')",
        test: v => {
          const origins = v['allowOrigins'] as readonly string[];
          return origins.length === 1 || !origins.includes('*');
        },
        field: 'allowOrigins',
        problem: '"*" stands beside other origins',
        fix: 'write ["*"] alone, or leave it out',
      },
      {
        cel: "!self.allowCredentials || !(self.allowOrigins.exists(o, o == '*') || self.allowHeaders.exists(h, h == '*') || self.exposeHeaders.exists(h, h == '*'))",
        test: v =>
          v['allowCredentials'] !== true ||
          !['allowOrigins', 'allowHeaders', 'exposeHeaders'].some(name =>
            (v[name] as readonly string[] | undefined)?.includes('*'),
          ),
        field: 'allowCredentials',
        problem: '"*" does not go with credentials: browsers refuse it, and any page could act for its reader',
        fix: 'name them one by one, or leave allowCredentials out',
      },
    ],
  },
);
export type CorsStep = Infer<typeof corsStep>;

export const setVariablesStep = map(template, {
  description:
    'Texts for later expressions of this and narrower policies, read as vars.<name>. All are worked out before one is set; what cannot be is 403 ExpressionFailed.',
  example: { tier: '${jwt.claims.tier}' },
  maxProperties: 32,
  maxKeyLength: 63,
  keys: variableName,
});

/** Members that say which bodies are rewritten, and how large they may be (P12). */
export const REWRITTEN = {
  mediaTypes: required(
    list(
      string({
        minLength: 1,
        maxLength: 128,
        pattern: '^[A-Za-z0-9!#$&^_.+-]+/([A-Za-z0-9!#$&^_.+-]+|\\*)$',
        patternText: 'a media type such as application/json or text/*',
      }),
      {
        description: 'Media types of bodies that are rewritten; text/* is allowed.',
        example: ['application/json'],
        minItems: 1,
        maxItems: 32,
        set: true,
      },
    ),
  ),
  maxBytes: defaulted(
    quantity({
      minimumBytes: 1,
      maximumBytes: 67_108_864,
      description:
        'Largest body that is rewritten, in bytes; it is held in memory. What comes of it may be four times as large (1Mi at least, 64Mi at most); more is 502 AppProtocolError.',
    }),
    '1Mi',
  ),
  onOversize: defaulted(
    enumeration(['Fail', 'Pass'], {
      description: 'What becomes of a larger body: Fail (502 AppProtocolError) or Pass (unchanged).',
    }),
    'Fail',
  ),
};
export const bodyRewrite = object(REWRITTEN);
export type BodyRewrite = Infer<typeof bodyRewrite>;

export const replaceTextStep = object({
  from: required(
    string({
      description:
        'Text to look for, as it stands, byte by byte in UTF-8, upper and lower case told apart; every place where it occurs.',
      example: 'internal.example',
      minLength: 1,
      maxLength: 1024,
    }),
  ),
  to: required(
    string({
      description: 'Text to put there, as it stands; empty: what was found is cut out.',
      example: 'fleet.example.com',
      maxLength: 1024,
    }),
  ),
  ...REWRITTEN,
});
export type ReplaceTextStep = Infer<typeof replaceTextStep>;
