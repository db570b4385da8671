/** What `check` finds in every step of the schema: at least five wrong configurations each, with the exact line. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { requestStep, responseStep } from '../../src/api/kinds/steps.ts';
import { testCases, type Cases } from './check-manifests.ts';
import * as answers from './wrong/answer-steps.ts';
import * as callers from './wrong/caller-steps.ts';
import { clientCertificate } from './wrong/certificate-step.ts';
import * as flow from './wrong/flow-steps.ts';
import * as steps from './wrong/steps.ts';
import * as traffic from './wrong/traffic-steps.ts';

const REQUEST: Readonly<Record<string, Cases>> = {
  jwt: steps.jwt,
  clientCertificate,
  subscription: callers.subscription,
  hmacSignature: callers.hmacSignature,
  anyOf: steps.anyOf,
  deviceAuth: steps.deviceAuth,
  authorize: steps.authorize,
  ipFilter: traffic.ipFilter,
  rateLimit: traffic.rateLimit,
  quota: traffic.quota,
  requireHeader: steps.requireHeader,
  concurrency: traffic.concurrency,
  cors: flow.cors,
  setHeaders: answers.setHeaders,
  removeHeaders: steps.removeHeaders,
  setVariables: answers.setVariables,
  choose: flow.choose,
  respond: answers.respond,
};

const RESPONSE: Readonly<Record<string, Cases>> = {
  hideBackend: steps.hideBackend,
  setHeaders: answers.responseSetHeaders,
  removeHeaders: answers.responseRemoveHeaders,
  replaceText: flow.replaceText,
  choose: answers.responseChoose,
  respond: answers.responseRespond,
};

/** Further tables, of more than one step and of objects that steps name. */
const MORE: Readonly<Record<string, Cases>> = {
  'hideBackend of the request part': steps.hideBackendInRequest,
  'setVariables and respond together': flow.setVariablesAndRespond,
  Subscription: callers.subscriptionObject,
  sharedStore: traffic.sharedStore,
};

const LEAST = 5;
const PARTS = { request: [requestStep, REQUEST], response: [responseStep, RESPONSE] } as const;

for (const [part, [schema, tables]] of Object.entries(PARTS)) {
  describe(`check and the steps of the ${part} part`, () => {
    test('every step of the schema has its table, and no table is of another', () => {
      const [names = []] = schema.exactlyOneOf ?? [];
      assert.deepEqual(Object.keys(tables).sort(), [...names].sort());
    });

    for (const [step, cases] of Object.entries(tables)) {
      test(`${step} has at least ${LEAST} wrong configurations, each told with its field and a fix`, () => {
        const told = Object.values(cases).filter(([, ...lines]) =>
          lines.some(line => new RegExp(`:spec\\.${part}\\[\\d+\\]\\.${step}\\b.*: .+, .+`).test(line)),
        );
        assert.ok(told.length >= LEAST, `only ${told.length}`);
      });
      describe(step, () => testCases(cases));
    }
  });
}

for (const [what, cases] of Object.entries(MORE)) describe(`check finds in ${what}`, () => testCases(cases));
