import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { findControllerUrl } from '../injector/configuration.ts';
import type { Container, Pod } from '../injector/pod.ts';
import {
  applyOperations,
  CONFIGURATION,
  expectPatched,
  readRecorded,
  RECORDED,
  withSpec,
} from '../injector/testing/pods.ts';
import type { KubeObject } from '../kube/objects.ts';
import { createVerifySidecar } from './verify-sidecar.ts';

const verify = createVerifySidecar({
  image: CONFIGURATION.image,
  controllerUrl: findControllerUrl(CONFIGURATION.controllerNamespace),
});
const judge = (pod: Pod): string => {
  const fact = verify(pod as Pod & KubeObject);
  return fact.state === 'Altered' ? `Altered: ${fact.problem}` : fact.state;
};
const inject = (pod: Pod): Pod => applyOperations(pod, expectPatched(pod).operations) as Pod;
const injected = inject(readRecorded('deployment'));
const withSidecar = (change: Partial<Container>): Pod =>
  withSpec(injected, {
    initContainers: (injected.spec.initContainers ?? []).map(one =>
      one.name === 'sallyport' ? { ...one, ...change } : one,
    ),
  });
const sidecar = injected.spec.initContainers?.find(({ name }) => name === 'sallyport');

describe('verifySidecar', () => {
  for (const name of RECORDED) {
    test(`knows what the injector makes of a recorded pod: ${name}`, () => {
      assert.equal(judge(readRecorded(name)), 'None');
      assert.equal(judge(inject(readRecorded(name))), 'Protected');
    });
  }
  test('knows sidecars of other versions, by tag or digest', () => {
    for (const suffix of [':0.0.9', '@sha256:abc', ':0.2.0@sha256:abc', '']) {
      assert.equal(judge(withSidecar({ image: `ghcr.io/example/sallyport${suffix}` })), 'Protected');
    }
  });

  const cases: Readonly<Record<string, readonly [pod: Pod, expected: RegExp]>> = {
    'another image in its place': [withSidecar({ image: 'ghcr.io/evil/sallyport:0.1.0' }), /^Altered: its image/],
    'an image whose name only begins like ours': [
      withSidecar({ image: 'ghcr.io/example/sallyport-evil:1' }),
      /^Altered: its image/,
    ],
    'a registry with a port, and no tag': [
      withSidecar({ image: 'ghcr.io:5000/example/sallyport' }),
      /^Altered: its image/,
    ],
    'another command': [withSidecar({ command: ['/bin/sh'] }), /^Altered: its command/],
    'one that ends': [withSidecar({ restartPolicy: 'OnFailure' }), /^Altered: its command or restartPolicy/],
    'another controller': [
      withSidecar({ args: ['sidecar', '--controller', 'https://evil.example'] }),
      /^Altered: it asks another controller/,
    ],
    'another controller behind ours': [
      withSidecar({ args: [...(sidecar?.args ?? []), '--controller', 'https://evil.example'] }),
      /^Altered: it asks another controller/,
    ],
    'another user': [
      withSidecar({ securityContext: { ...sidecar?.securityContext, runAsUser: 0 } }),
      /^Altered: it runs as another user/,
    ],
    'an app that mounts the sidecar’s tokens': [
      withSpec(injected, {
        containers: injected.spec.containers.map(one => ({
          ...one,
          volumeMounts: [{ name: 'sallyport-tokens', mountPath: '/x' }],
        })),
      }),
      /^Altered: the container \S+ mounts sallyport-tokens/,
    ],
    'an ephemeral container that mounts the sidecar’s memory': [
      withSpec(injected, {
        ephemeralContainers: [{ name: 'debug', volumeMounts: [{ name: 'sallyport-run', mountPath: '/x' }] }],
      }),
      /^Altered: the container debug mounts sallyport-run/,
    ],
    'another volume with a token for the controller': [
      withSpec(injected, {
        volumes: [
          ...(injected.spec.volumes ?? []),
          { name: 'mine', projected: { sources: [{ serviceAccountToken: { audience: 'sallyport.dev/controller' } }] } },
        ],
      }),
      /^Altered: the volume mine holds a token/,
    ],
    'a pod that cannot be read': [{ spec: 'x' } as unknown as Pod, /^Altered: the pod cannot be read/],
  };
  for (const [name, [pod, expected]] of Object.entries(cases)) {
    test(`does not take ${name} for ours`, () => assert.match(judge(pod), expected));
  }
});
