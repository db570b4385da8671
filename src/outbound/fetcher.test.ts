import assert from 'node:assert/strict';
import { createServer as createHttp, type RequestListener, type Server } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { createServer as createTcp, type AddressInfo, type Server as TcpServer, type Socket } from 'node:net';
import { test, type TestContext } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import { createAuthority } from '../demo/pki.ts';
import { createAddressGuard } from './address.ts';
import { FetchError, type FetchErrorCode } from './fetch-error.ts';
import { createFetcher, type Fetcher, type FetchOptions, type FetcherOptions } from './fetcher.ts';
import { findDestination } from './resolve.ts';

const authority = createAuthority({ name: 'Outbound test CA' });
const other = createAuthority({ name: 'Another CA' });
const serverCertificate = authority.issue({
  subject: 'server',
  san: { dns: ['good.test'], ip: ['127.0.0.1'] },
  usages: ['serverAuth'],
});
const OPTIONS: FetchOptions = { trust: { ca: authority.certificatePem }, timeoutMs: 2000, maxBytes: 1024 };

async function listen(t: TestContext, server: Server | TcpServer): Promise<number> {
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    if ('closeAllConnections' in server) server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}
const serve = (t: TestContext, listener: RequestListener): Promise<number> => listen(t, createHttp(listener));
const serveTls = (t: TestContext, listener: RequestListener, options = {}): Promise<number> =>
  listen(t, createHttps({ cert: serverCertificate.chainPem, key: serverCertificate.keyPem, ...options }, listener));

function open(t: TestContext, options: FetcherOptions = {}): Fetcher {
  const fetcher = createFetcher(options);
  t.after(() => fetcher.close());
  return fetcher;
}

function asTls(socket: Socket): TLSSocket {
  assert.ok(socket instanceof TLSSocket);
  return socket;
}

async function failure(promise: Promise<unknown>): Promise<FetchError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof FetchError, 'expected a FetchError');
  return error;
}

test('status, headers and body of an answer are handed back', async t => {
  const port = await serve(t, (request, response) => {
    response.setHeader('X-Twice', ['a', 'b']);
    response.writeHead(207).end(`${request.method ?? ''} ${request.url ?? ''} ${String(request.headers['x-a'])}`);
  });
  const answer = await open(t).fetch(`http://127.0.0.1:${port}/p?q=1`, { ...OPTIONS, headers: { 'x-a': 'v' } });
  assert.equal(answer.status, 207);
  assert.equal(answer.headers['x-twice'], 'a, b');
  assert.equal(Buffer.from(answer.body).toString(), 'GET /p?q=1 v');
});

test('a POST sends its body', async t => {
  const port = await serve(t, (request, response) => {
    request.pipe(response);
  });
  const answer = await open(t).fetch(`http://127.0.0.1:${port}/`, { ...OPTIONS, method: 'POST', body: '{"a":1}' });
  assert.equal(Buffer.from(answer.body).toString(), '{"a":1}');
});

test('a server whose certificate the trust signed is reached, and one name’s connection is not lent to another', async t => {
  const names: unknown[] = [];
  const port = await serveTls(t, (request, response) => {
    names.push(asTls(request.socket).servername);
    response.end();
  });
  const fetcher = open(t, { resolve: [{ host: 'good.test', address: '127.0.0.1', toPort: port }] });
  assert.equal((await fetcher.fetch('https://good.test/', OPTIONS)).status, 200);
  assert.equal((await fetcher.fetch(`https://127.0.0.1:${port}/`, OPTIONS)).status, 200);
  assert.equal(
    (await fetcher.fetch(`https://127.0.0.1:${port}/`, { ...OPTIONS, serverName: 'good.test' })).status,
    200,
  );
  assert.deepEqual(names, ['good.test', false, 'good.test']);
});

test('a server is refused as TLS', async t => {
  const port = await serveTls(t, (_, response) => response.end());
  const expired = authority.issue({
    subject: 'server',
    san: { ip: ['127.0.0.1'] },
    usages: ['serverAuth'],
    notBefore: new Date(0),
    notAfter: new Date(1000),
  });
  const expiredPort = await serveTls(t, (_, response) => response.end(), {
    cert: expired.chainPem,
    key: expired.keyPem,
  });
  const fetcher = open(t);
  const url = `https://127.0.0.1:${port}/`;
  const cases: Record<string, [string, FetchOptions, string]> = {
    'when another authority signed its certificate': [
      url,
      { ...OPTIONS, trust: { ca: other.certificatePem } },
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    ],
    'when only the public roots are trusted': [
      url,
      { ...OPTIONS, trust: 'systemRoots' },
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    ],
    'when its name is another': [url, { ...OPTIONS, serverName: 'evil.test' }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
    'when its certificate is expired': [`https://127.0.0.1:${expiredPort}/`, OPTIONS, 'CERT_HAS_EXPIRED'],
    'when the trust is empty': [url, { ...OPTIONS, trust: { ca: '' } }, 'EMPTY_TRUST'],
    'when the trust holds no certificate': [url, { ...OPTIONS, trust: { ca: 'none here' } }, 'EMPTY_TRUST'],
  };
  for (const [sentence, [target, options, detail]] of Object.entries(cases)) {
    const error = await failure(fetcher.fetch(target, options));
    assert.deepEqual([error.code, error.detail], ['TLS', detail], sentence);
  }
});

test('a server that speaks no TLS is a TLS failure, one that does not listen a CONNECT failure', async t => {
  const port = await serve(t, (_, response) => response.end());
  const fetcher = open(t);
  assert.equal((await failure(fetcher.fetch(`https://127.0.0.1:${port}/`, OPTIONS))).code, 'TLS');
  const gone = createTcp();
  const closedPort = await listen(t, gone);
  await new Promise(resolve => gone.close(resolve));
  const error = await failure(fetcher.fetch(`http://127.0.0.1:${closedPort}/`, OPTIONS));
  assert.deepEqual([error.code, error.detail], ['CONNECT', 'ECONNREFUSED']);
});

test('the client certificate is presented to a server that asks for one', async t => {
  const port = await serveTls(
    t,
    (request, response) => {
      response.end(asTls(request.socket).getPeerCertificate().subject.CN);
    },
    { requestCert: true, rejectUnauthorized: true, ca: authority.certificatePem },
  );
  const issued = authority.issue({ subject: 'sidecar' });
  const clientCertificate = { certificate: issued.chainPem, key: issued.keyPem, sha256: issued.sha256 };
  const fetcher = open(t);
  const answer = await fetcher.fetch(`https://127.0.0.1:${port}/`, { ...OPTIONS, clientCertificate });
  assert.equal(Buffer.from(answer.body).toString(), 'sidecar');
  // The connection that carried the certificate serves no call without it.
  const error = await failure(fetcher.fetch(`https://127.0.0.1:${port}/`, OPTIONS));
  assert.ok(error.code === 'PROTOCOL' || error.code === 'TLS');
});

test('addresses that may not be dialled', () => {
  const isForbidden = createAddressGuard();
  const forbidden =
    '169.254.169.254 169.254.0.1 0.0.0.0 0.1.2.3 224.0.0.1 255.255.255.255 239.1.1.1 100.100.100.200 168.63.129.16 ' +
    ':: fe80::1 fe80::1%eth0 febf::1 ff02::1 fd00:ec2::254 ::ffff:169.254.169.254 ::ffff:a9fe:a9fe 64:ff9b::a9fe:a9fe ' +
    '2002:a9fe:a9fe::1 localhost 127.1';
  for (const address of forbidden.split(' ')) assert.equal(isForbidden(address), true, address);
  for (const address of [
    '127.0.0.1',
    '::1',
    '10.0.0.1',
    '192.168.1.1',
    '172.16.0.1',
    'fd00::1',
    '1.1.1.1',
    '2606::1',
  ]) {
    assert.equal(isForbidden(address), false, address);
  }
});

test('metadata and link-local addresses are refused when dialled, however they are written', async t => {
  const fetcher = open(t, { resolve: [{ host: 'innocent.test', address: '169.254.169.254' }] });
  const urls = [
    'http://169.254.169.254/latest/meta-data',
    'http://2852039166/',
    'http://0xa9fea9fe/',
    'http://0/',
    'http://[fe80::1]/',
    'http://[::ffff:169.254.169.254]/',
    'https://innocent.test/',
  ];
  for (const url of urls) assert.equal((await failure(fetcher.fetch(url, OPTIONS))).code, 'FORBIDDEN_ADDRESS', url);
});

test('a redirect is refused, unless same-host was asked for and it stays there', async t => {
  const elsewhere = await serve(t, (_, response) => response.end('elsewhere'));
  const port = await serve(t, (request, response) => {
    const target = new URL(request.url ?? '', 'http://x').searchParams.get('to');
    if (target === null) return response.end('arrived');
    return response.writeHead(302, { location: target }).end();
  });
  const fetcher = open(t);
  const fetch = (to: string, redirects?: 'same-host'): Promise<unknown> =>
    fetcher.fetch(`http://127.0.0.1:${port}/?to=${encodeURIComponent(to)}`, {
      ...OPTIONS,
      ...(redirects && { redirects }),
    });
  assert.equal((await failure(fetch('/'))).code, 'REDIRECT');
  assert.equal(((await fetch('/', 'same-host')) as { status: number }).status, 200);
  const refused = [
    `http://127.0.0.1:${elsewhere}/`,
    `http://localhost:${port}/`,
    'http://169.254.169.254/',
    `https://127.0.0.1:${port}/`,
    `http://user@127.0.0.1:${port}/`,
    'file:///etc/passwd',
    'http://[',
  ];
  for (const to of refused) assert.equal((await failure(fetch(to, 'same-host'))).code, 'REDIRECT', to);
});

test('at most three redirects are followed', async t => {
  let calls = 0;
  const port = await serve(t, (_, response) => {
    calls++;
    response.writeHead(302, { location: '/' }).end();
  });
  const error = await failure(open(t).fetch(`http://127.0.0.1:${port}/`, { ...OPTIONS, redirects: 'same-host' }));
  assert.deepEqual([error.code, calls], ['REDIRECT', 4]);
});

test('a body larger than allowed is cut off, announced or not', async t => {
  let sent = 0;
  const port = await serve(t, (request, response) => {
    if (request.url === '/announced') response.setHeader('content-length', 100 * 1024 * 1024);
    const write = (): void => {
      while (sent < 100 * 1024 * 1024 && response.write(Buffer.alloc(64 * 1024))) sent += 64 * 1024;
    };
    response.on('drain', write);
    write();
  });
  const fetcher = open(t);
  for (const path of ['/announced', '/endless']) {
    sent = 0;
    const error = await failure(fetcher.fetch(`http://127.0.0.1:${port}${path}`, OPTIONS));
    assert.equal(error.code, 'TOO_LARGE', path);
    assert.ok(sent < 32 * 1024 * 1024, `${path}: the sender was stopped`);
  }
});

test('the clock runs over the whole answer', async t => {
  const port = await serve(t, (request, response) => {
    if (request.url === '/silent') return;
    const drip = setInterval(() => response.write('.'), 20);
    response.on('close', () => clearInterval(drip));
  });
  const deaf = await listen(
    t,
    createTcp(socket => {
      t.after(() => socket.destroy());
    }),
  );
  const fetcher = open(t);
  const hasty = { ...OPTIONS, timeoutMs: 150 };
  for (const url of [
    `http://127.0.0.1:${port}/silent`,
    `http://127.0.0.1:${port}/drip`,
    `https://127.0.0.1:${deaf}/`,
  ]) {
    assert.equal((await failure(fetcher.fetch(url, hasty))).code, 'TIMEOUT', url);
  }
});

test('an answer that breaks off or is no HTTP is a PROTOCOL failure', async t => {
  const fetcher = open(t);
  for (const answer of ['', 'garbage\r\n\r\n', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc']) {
    const port = await listen(
      t,
      createTcp(socket => {
        socket.once('data', () => socket.end(answer));
        socket.on('error', () => undefined);
      }),
    );
    assert.equal((await failure(fetcher.fetch(`http://127.0.0.1:${port}/`, OPTIONS))).code, 'PROTOCOL', answer);
  }
});

test('a GET on a kept connection that the server closes at that moment is sent once more', async t => {
  let calls = 0;
  const port = await listen(
    t,
    createTcp(socket => {
      let served = 0;
      socket.on('error', () => undefined);
      socket.on('data', () => {
        calls++;
        if (++served > 1) return socket.destroy();
        return socket.write('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n');
      });
    }),
  );
  const fetcher = open(t);
  for (let i = 0; i < 2; i++) {
    assert.equal((await fetcher.fetch(`http://127.0.0.1:${port}/`, OPTIONS)).status, 200);
    // The connection returns to its pool.
    await setImmediate();
  }
  assert.equal(calls, 3);
});

test('a bad URL and header text from outside are failures, not requests', async t => {
  let calls = 0;
  const port = await serve(t, (_, response) => {
    calls++;
    response.end();
  });
  const fetcher = open(t);
  for (const url of ['', 'nothing', 'ftp://127.0.0.1/', `http://user:secret@127.0.0.1:${port}/`]) {
    assert.equal((await failure(fetcher.fetch(url, OPTIONS))).code, 'PROTOCOL', url);
  }
  const headers = { 'x-a': 'a\r\nX-Evil: 1' };
  assert.equal((await failure(fetcher.fetch(`http://127.0.0.1:${port}/`, { ...OPTIONS, headers }))).code, 'PROTOCOL');
  assert.equal(calls, 0);
});

test('a failure tells neither path nor query nor body', async t => {
  const port = await serve(t, (_, response) => response.end('canary-body'.repeat(1000)));
  const lines: string[] = [];
  const note = (fields: object, message: string): void => void lines.push(JSON.stringify(fields) + message);
  const fetcher = open(t, { log: { debug: note, info: note, warn: note, error: note } });
  const error = await failure(fetcher.fetch(`http://127.0.0.1:${port}/canary-path?canary-query`, OPTIONS));
  const told = lines.join() + error.message + JSON.stringify(error) + (error.stack ?? '');
  assert.ok(lines.length > 0);
  assert.ok(!told.includes('canary'), told);
});

test('closing ends what is in flight and refuses what comes later', async t => {
  const arrived = Promise.withResolvers<undefined>();
  const port = await serve(t, () => arrived.resolve(undefined));
  const fetcher = createFetcher();
  const pending = failure(fetcher.fetch(`http://127.0.0.1:${port}/`, OPTIONS));
  await arrived.promise;
  await fetcher.close();
  const expected: FetchErrorCode = 'CLOSED';
  assert.equal((await pending).code, expected);
  assert.equal((await failure(fetcher.fetch(`http://127.0.0.1:${port}/`, OPTIONS))).code, expected);
});

test('a resolve rule leads a name, or one port of it, elsewhere', () => {
  const rules = [
    { host: 'a.test', port: 443, address: '127.0.0.1', toPort: 9000 },
    { host: 'a.test', address: '127.0.0.2' },
  ];
  assert.deepEqual(findDestination(rules, 'A.test', 443), { host: '127.0.0.1', port: 9000 });
  assert.deepEqual(findDestination(rules, 'a.test', 80), { host: '127.0.0.2', port: 80 });
  assert.deepEqual(findDestination(rules, 'b.test', 80), { host: 'b.test', port: 80 });
});
