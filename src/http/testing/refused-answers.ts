/** For tests: answers of an app that are refused, by what is wrong with them. */

export const ok = (...lines: string[]): string => ['HTTP/1.1 200 OK', ...lines, '', ''].join('\r\n');
export const answer = (status: number, ...lines: string[]): string =>
  [`HTTP/1.1 ${status} x`, ...lines, '', ''].join('\r\n');

export const REFUSED_ANSWERS: Record<string, Record<string, string>> = {
  'status lines': {
    'a bare LF': 'HTTP/1.1 200 OK\n\n',
    'an empty line in front': `\r\n${ok()}`,
    'HTTP/2': 'HTTP/2 200\r\n\r\n',
    'version 2.0': 'HTTP/2.0 200 OK\r\n\r\n',
    'version 1.2': 'HTTP/1.2 200 OK\r\n\r\n',
    'another protocol': 'ICY 200 OK\r\n\r\n',
    'status 99': 'HTTP/1.1 099 x\r\n\r\n',
    'status 600': 'HTTP/1.1 600 x\r\n\r\n',
    'status of two digits': 'HTTP/1.1 20 OK\r\n\r\n',
    'status of four digits': 'HTTP/1.1 2000 OK\r\n\r\n',
    'a sign': 'HTTP/1.1 +20 OK\r\n\r\n',
    'two spaces': 'HTTP/1.1  200 OK\r\n\r\n',
    'NUL in the reason': 'HTTP/1.1 200 O\0K\r\n\r\n',
    'a bare CR in the reason': 'HTTP/1.1 200 O\rK\r\n\r\n',
    'a reason without a space': 'HTTP/1.1 200OK\r\n\r\n',
    'a body without a head': '<html>',
  },
  lengths: {
    'two lengths': ok('Content-Length: 5', 'Content-Length: 6'),
    'the same length twice (CVE-2026-1525)': ok('Content-Length: 5', 'Content-Length: 5'),
    'a list of lengths': ok('Content-Length: 5, 5'),
    'a length that is no number': ok('Content-Length: five'),
    'an empty length': ok('Content-Length:'),
    '2^53': ok('Content-Length: 9007199254740992'),
    'both lengths': ok('Content-Length: 5', 'Transfer-Encoding: chunked'),
    'both lengths where no body follows': answer(304, 'Content-Length: 5', 'Transfer-Encoding: chunked'),
    'gzip, chunked': ok('Transfer-Encoding: gzip, chunked'),
    identity: ok('Transfer-Encoding: identity'),
    'chunked twice': ok('Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'),
    'chunked in HTTP/1.0': 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n',
  },
  'field lines': {
    'a folded line': ok('X: a', ' b'),
    'a space before the colon': ok('X : a'),
    'a bare LF': ok('X: a\nY: b'),
    'NUL in a value': ok('X: \0'),
    'no colon': ok('X'),
    '501 headers': ok(...Array.from({ length: 501 }, () => 'X: y')),
    'a head that is too large': ok(`X: ${'a'.repeat(131072)}`),
    'Connection that is no list of names': ok('Connection: @'),
  },
};
