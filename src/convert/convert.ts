/** A policy document of Azure API Management as manifests, with a note for each thing that needs a person. Pure. */
import { createConversion, type Conversion, type Note, type Plain, type PlainObject, type Step } from './conversion.ts';
import { DocumentProblem, readPolicyDocument, type PolicyElement } from './policy-document.ts';
import { renderSteps } from './flow-steps.ts';
import { convertSteps, denyInstead } from './step-table.ts';

export interface ConvertOptions {
  /** Of the policy, and the beginning of the names of everything beside it. */
  readonly name: string;
  readonly namespace?: string;
  /** `cluster` makes a ClusterAuthPolicy; else the Api, and its operation, that the policy is for; else the namespace. */
  readonly target: { readonly scope: 'cluster' | 'namespace' } | { readonly api: string; readonly operation?: string };
}

export interface Converted {
  /** In the order in which to apply them; the policy last. */
  readonly objects: readonly PlainObject[];
  /** By line. */
  readonly notes: readonly Note[];
}

const isClusterScope = ({ target }: ConvertOptions): boolean => 'scope' in target && target.scope === 'cluster';

const SECTIONS = ['inbound', 'backend', 'outbound', 'on-error'];

/** @throws DocumentProblem when the document cannot be read at all. */
export function convertPolicy(source: string, options: ConvertOptions): Converted {
  const root = readPolicyDocument(source);
  if (root.name !== 'policies' && root.name !== 'fragment') {
    throw new DocumentProblem(`the root is <${root.name}>; a policy document begins with <policies>`, root.line);
  }
  const { name, namespace } = options;
  const open = createConversion({ name, namespace, isCluster: isClusterScope(options) });
  const inbound = open('inbound');
  const sections = (name: string): readonly PolicyElement[] =>
    root.name === 'fragment' ? (name === 'inbound' ? [root] : []) : root.children.filter(child => child.name === name);
  const unknown = denyUnknown(root, inbound);
  const request = [
    ...unknown,
    ...sections('inbound').flatMap(section => convertSection(section, inbound)),
    ...sections('backend').flatMap(section => denyBackend(section, inbound)),
  ];
  const outbound = open('outbound');
  const response = sections('outbound').flatMap(section => convertSteps(section.children, outbound));
  const section = (name: string): PolicyElement | undefined => sections(name)[0];
  noteErrors(section('on-error'), inbound);
  const inherit = readInherit(section('inbound'), inbound);
  const policy = describePolicy(options, inbound, { request, response, inherit });
  return {
    objects: [...[...inbound.objects.values()].map(object => describeObject(object, options)), policy],
    notes: [...inbound.notes].sort((a, b) => a.line - b.line),
  };
}

/** Text where elements belong (CDATA too) may have been a policy: closed until somebody has looked. */
function convertSection(section: PolicyElement, conversion: Conversion): readonly Step[] {
  const steps = convertSteps(section.children, conversion);
  if (section.text === '') return steps;
  conversion.note(section, 'text between elements is not read: write it as elements, or remove it', 'lost');
  return [denyInstead(section, conversion), ...steps];
}

/** What stands in no section that the gateway knows, a section in other letters included. */
function denyUnknown(root: PolicyElement, conversion: Conversion): readonly Step[] {
  if (root.name === 'fragment') return [];
  return root.children
    .filter(({ name }) => !SECTIONS.includes(name))
    .map(child => {
      conversion.note(child, 'not a section of a policy document', 'lost');
      return denyInstead(child, conversion);
    });
}

/** What is judged in the backend section comes too late here: it belongs into inbound. */
function denyBackend(section: PolicyElement, conversion: Conversion): readonly Step[] {
  return convertSteps(section.children, conversion).map(({ line, name }) => {
    conversion.note({ line, name }, 'a step of the backend section: move it into inbound', 'lost');
    return denyInstead({ line, name }, conversion);
  });
}

function noteErrors(section: PolicyElement | undefined, conversion: Conversion): void {
  for (const child of section?.children ?? []) {
    if (child.name === 'base') continue;
    conversion.note(
      child,
      'on-error: refusals have their own form; change it by errors (format, headers, overrides)',
      'lost',
    );
  }
}

/** Where broader scopes' steps go (S2): the place of `<base/>` in inbound. */
function readInherit(inbound: PolicyElement | undefined, conversion: Conversion): 'After' | 'None' | undefined {
  if (inbound === undefined) return undefined;
  const children = inbound.children.filter(({ name }) => name !== 'trace');
  const at = children.findIndex(({ name }) => name === 'base');
  if (at === 0 || children.length === 0) return undefined;
  if (at === -1) {
    conversion.note(inbound, 'no <base/>: inherit is None; steps of sealed broader policies stay in force');
    return 'None';
  }
  if (at === children.length - 1) return 'After';
  conversion.note(
    inbound,
    '<base/> stands between steps: here all steps of this policy come after those of broader ones',
  );
  return undefined;
}

function describePolicy(
  { name, namespace, target }: ConvertOptions,
  conversion: Conversion,
  {
    request,
    response,
    inherit,
  }: { request: readonly Step[]; response: readonly Step[]; inherit: 'After' | 'None' | undefined },
): PlainObject {
  const isCluster = 'scope' in target && target.scope === 'cluster';
  const backend = [...conversion.backend];
  const spec: Record<string, Plain | undefined> = {
    ...('api' in target ? { targetRefs: [describeTarget(target)] } : {}),
    ...(inherit === undefined || isCluster ? {} : { inherit }),
    ...(conversion.variables.size === 0 ? {} : { variables: Object.fromEntries(conversion.variables) }),
    ...(request.length === 0 ? {} : { request: renderSteps(request) }),
    ...(backend[0] === undefined ? {} : { backend: { credential: backend[0] } }),
    ...(response.length === 0 ? {} : { response: renderSteps(response) }),
    ...(conversion.errors.length === 0 ? {} : { errors: { overrides: conversion.errors.map(each => ({ ...each })) } }),
  };
  return {
    apiVersion: 'sallyport.dev/v1alpha1',
    kind: isCluster ? 'ClusterAuthPolicy' : 'AuthPolicy',
    metadata: { name, ...(isCluster || namespace === undefined ? {} : { namespace }) },
    spec,
  };
}

const describeTarget = ({ api, operation }: { readonly api: string; readonly operation?: string }): PlainObject => ({
  kind: 'Api',
  name: api,
  ...(operation === undefined ? {} : { sectionName: operation }),
});

const describeObject = (
  { kind, name, spec }: { readonly kind: string; readonly name: string; readonly spec: PlainObject },
  { namespace }: ConvertOptions,
): PlainObject => ({
  apiVersion: 'sallyport.dev/v1alpha1',
  kind,
  metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
  spec,
});
