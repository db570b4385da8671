import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { API, compileYaml, routeOf } from './testing/compile-yaml.ts';
import { placeOfBody } from './template.ts';

describe('values in bodies are written for the place where they land (E9)', () => {
  const PLACES: readonly (readonly [string | undefined, string, string])[] = [
    [undefined, '{"id":"${deviceId}"}', 'json'],
    [undefined, ' [1]', 'json'],
    [undefined, '${deviceId}', 'text'],
    ['application/json; charset=utf-8', '${deviceId}', 'json'],
    ['application/problem+JSON', '', 'json'],
    ['text/html', '{', 'markup'],
    ['application/atom+xml', '', 'markup'],
    ['application/x-www-form-urlencoded', 'a=${deviceId}', 'query'],
    ['text/plain', '{', 'text'],
  ];
  for (const [mediaType, source, place] of PLACES) {
    test(`${mediaType ?? 'no media type'} ${source}: ${place}`, () => {
      assert.equal(placeOfBody(mediaType, source), place);
    });
  }

  const render = (contentType: string, body: string, value: string): string => {
    const { snapshot } = compileYaml(`${API}
kind: AuthPolicy
metadata: {name: p}
spec: {request: [{name: r, respond: {status: 400, contentType: ${contentType}, body: '${body}'}}]}
`);
    const [step] = routeOf(snapshot, 'GET', '/a').pipeline.steps;
    assert.ok(step?.type === 'respond');
    return step.respond.body.render({ request: { path: value } });
  };
  test('a quote does not end a JSON string', () => {
    const text = render('application/json', '{"path":"${request.path}"}', 'a","b":"\\');
    assert.deepEqual(JSON.parse(text), { path: 'a","b":"\\' });
  });
  test('markup does not end an element', () => {
    assert.equal(render('text/html', '<p>${request.path}</p>', `<script>"'&`), '<p>&lt;script&gt;&quot;&#39;&amp;</p>');
  });
  test('plain text stays as it is', () => {
    assert.equal(render('text/plain', '${request.path}', '<"'), '<"');
  });
});
