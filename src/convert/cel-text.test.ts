import assert from 'node:assert/strict';
import { test } from 'node:test';
import { translate, type ExpressionScope } from './cel-text.ts';
import { parseExpression } from './csharp-expression.ts';
import { NotConvertible } from './csharp-tokens.ts';

const SCOPE: ExpressionScope = {
  hasResponse: false,
  lookups: new Map([['device', 'device']]),
  tokens: new Set(['jwt']),
  nameVariable: name => name,
};

const convert = (source: string, scope: Partial<ExpressionScope> = {}): string =>
  translate(parseExpression(source), { ...SCOPE, ...scope }).text;

const CONVERTED: Readonly<Record<string, readonly [source: string, cel: string]>> = {
  'a missing certificate': ['@(context.Request.Certificate == null)', '!has(cert.sha1)'],
  'a verified certificate': ['@(context.Request.Certificate.Verify())', 'has(cert.sha1)'],
  'a thumbprint': ['@(context.Request.Certificate.Thumbprint == "AB")', "cert.sha1 == 'AB'"],
  'a header with a default': [
    '@(context.Request.Headers.GetValueOrDefault("X-Env", "dev"))',
    "'x-env' in request.headers ? request.headers['x-env'] : 'dev'",
  ],
  'the first line of a header': ['@(context.Request.Headers["X-Env"][0])', "request.headers['x-env']"],
  'whether a header is there': ['@(context.Request.Headers.ContainsKey("X-Env"))', "'x-env' in request.headers"],
  'a query parameter': [
    '@(context.Request.Url.Query.GetValueOrDefault("q", ""))',
    "has(request.query.q) ? request.query.q[0] : ''",
  ],
  'a path parameter, cast': ['@((string)context.Request.MatchedParameters["id"])', 'params.id'],
  'the status of a look-up': [
    '@(((IResponse)context.Variables["device"]).StatusCode == 200)',
    'steps.device.status == 200',
  ],
  'a look-up that never answered': ['@(context.Variables["device"] == null)', '!steps.device.ran'],
  'a member of a look-up’s body': [
    '@(((IResponse)context.Variables["device"]).Body.As<JObject>().Value<string>("owner") == "a")',
    "(has(steps.device.body.owner) ? steps.device.body.owner : '') == 'a'",
  ],
  'a claim among several': [
    '@(((Jwt)context.Variables["jwt"]).Claims["roles"].Contains("admin"))',
    "'admin' in jwt.claims.roles",
  ],
  'a scope': ['@(((Jwt)context.Variables["jwt"]).Claims["scope"].Contains("a"))', "'a' in jwt.claims.scope.split(' ')"],
  'a token read from the header': [
    '@(context.Request.Headers.GetValueOrDefault("Authorization","").AsJwt()?.Subject)',
    'jwt.subject',
  ],
  'an interpolated text': [
    '@($"{context.Request.IpAddress}-{context.Subscription?.Key}")',
    "source.ip + '-' + subscription.name",
  ],
  'a joined text with a number': ['@("a" + 1)', "'a' + string(1)"],
  'a comparison without case': [
    '@(context.Request.Method.Equals("get", StringComparison.OrdinalIgnoreCase))',
    "request.method.lowerAscii() == 'get'.lowerAscii()",
  ],
  'a regular expression': [
    '@(Regex.IsMatch(context.Request.Url.Path, @"^/v\\d+"))',
    String.raw`request.path.matches('^/v\\d+')`,
  ],
  'statements with a local variable and if': [
    '@{ var m = context.Request.Method; if (m == "GET") { return true; } else { return false; } }',
    "(request.method == 'GET') ? true : false",
  ],
  'a part of a text': ['@(context.Request.Url.Path.Substring(1, 3))', 'request.path.substring(1, 1 + 3)'],
  'quotes and backslashes': ['@("it\'s \\\\ \\"x\\"")', String.raw`'it\'s \\ "x"'`],
};

for (const [what, [source, cel]] of Object.entries(CONVERTED)) {
  test(`converts ${what}`, () => assert.equal(convert(source), cel));
}

test('reads the app’s status in outbound', () => {
  assert.equal(convert('@(context.Response.StatusCode >= 400)', { hasResponse: true }), 'response.status >= 400');
});

const REFUSED: Readonly<Record<string, readonly [source: string, problem: RegExp]>> = {
  'the pipeline’s status in inbound, which users mistake for the look-up’s': [
    '@(context.Response.StatusCode == 200)',
    /not the status of the look-up/,
  ],
  'a constructor': ['@(new Uri("https://a.example").Host)', /new Uri/],
  'a loop': ['@{ foreach (var x in y) { } return 1; }', /statement that begins with `foreach`/],
  'a computed regular expression': ['@(Regex.IsMatch("a", context.Request.Method))', /computed pattern/],
  'an unknown member': ['@(context.Deployment.Region)', /context\.Deployment\.Region/],
  'a lambda': ['@(context.Request.Headers.Any(h => h.Key == "a"))', /=>/],
  'an expression nested without end': [`@(${'('.repeat(200)}1${')'.repeat(200)})`, /nested too deeply/],
  'an unterminated string': ['@("abc)', /cannot be read/],
};

for (const [what, [source, problem]] of Object.entries(REFUSED)) {
  test(`does not convert ${what}`, () => {
    assert.throws(
      () => convert(source),
      (error: unknown) => error instanceof NotConvertible && problem.test(error.message),
    );
  });
}
