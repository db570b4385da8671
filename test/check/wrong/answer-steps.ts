/** What is wrong with setVariables, setHeaders and respond, and with steps of the response part. */
import { casesOf } from './cases-of.ts';

export const setVariables = casesOf({
  'a list': [
    ['name: s, setVariables: [a]'],
    '6:spec.request[0].setVariables: is a list, but names and values are wanted, write lines of the form name: value',
  ],
  'a value that is no text': [
    ['name: s, setVariables: {a: 1}'],
    '6:spec.request[0].setVariables.a: is the number 1, but text is wanted, write it in quotes: "1"',
  ],
  nothing: [
    ['name: s, setVariables:'],
    '6:spec.request[0].setVariables: is empty, but names and values are wanted, write lines of the form name: value',
  ],
  'a value that is nested': [
    ['name: s, setVariables: {a: {value: b}}'],
    '6:spec.request[0].setVariables.a: is an object, but text is wanted, write text',
  ],
  'a name that no expression could say': [
    ['name: s, setVariables: {a-b: c}'],
    '6:spec.request[0].setVariables.a-b: "a-b" is not allowed here, write a name of letters, digits and _ that does not start with a digit',
  ],
  'a hole that is not closed': [
    ['name: s, setVariables: {a: "${request.method"}'],
    '6:spec.request[0].setVariables.a: holds a ${ without its }, close it, or write $${ for a literal ${',
  ],
});

export const respond = casesOf({
  'no status': [
    ['name: s, respond: {body: hi}'],
    '6:spec.request[0].respond.status: is missing, add it: HTTP status of the answer',
  ],
  'a status that is none': [
    ['name: s, respond: {status: 99}'],
    '6:spec.request[0].respond.status: 99 is out of bounds, write a whole number from 200 to 599',
  ],
  'a status in quotes': [
    ['name: s, respond: {status: "200"}'],
    '6:spec.request[0].respond.status: is the string "200", but a whole number is wanted, write it without quotes: 200',
  ],
  'a media type that would end the line': [
    ['name: s, respond: {status: 200, contentType: "text/html\\r\\nX: 1"}'],
    '6:spec.request[0].respond.contentType: "text/html\\r\\nX: 1" is not allowed here, write a media type such as text/plain',
  ],
  'a header of the connection': [
    ['name: s, respond: {status: 200, headers: {Connection: close}}'],
    '6:spec.request[0].respond.headers.Connection: the header "Connection" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
  ],
  'headers as a list': [
    ['name: s, respond: {status: 200, headers: [{name: X-A, value: a}]}'],
    '6:spec.request[0].respond.headers: is a list, but names and values are wanted, write lines of the form name: value',
  ],
  'a body that is an object': [
    ['name: s, respond: {status: 200, body: {a: 1}}'],
    '6:spec.request[0].respond.body: is an object, but text is wanted, write text',
  ],
  'a body that reads what is not known': [
    ['name: s, respond: {status: 200, body: "${response.status}"}'],
    '6:spec.request[0].respond.body: in ${…} uses the variable "response", which does not exist here, use one of request, source, jwt, cert, subscription, caller, params, vars and steps',
  ],
  'an interim status': [
    ['name: s, respond: {status: 101}'],
    '6:spec.request[0].respond.status: 101 is out of bounds, write a whole number from 200 to 599',
  ],
});

export const setHeaders = casesOf({
  'one header instead of a list': [
    ['name: s, setHeaders: {name: X-A, value: a}'],
    '6:spec.request[0].setHeaders: is an object, but a list is wanted, write a list: one "- " item a line',
  ],
  'an empty list': [
    ['name: s, setHeaders: []'],
    '6:spec.request[0].setHeaders: is an empty list, write at least one item',
  ],
  'a header without a value': [
    ['name: s, setHeaders: [{name: X-A}]'],
    '6:spec.request[0].setHeaders[0]: has none of value, pairs and dictionary, write exactly one of them',
  ],
  'a header with two values': [
    ['name: s, setHeaders: [{name: X-A, value: a, pairs: {b: c}}]'],
    '6:spec.request[0].setHeaders[0].pairs: value and pairs exclude each other, keep one of value, pairs and dictionary',
  ],
  'no name': [
    ['name: s, setHeaders: [{value: a}]'],
    '6:spec.request[0].setHeaders[0].name: is missing, add it: The header',
  ],
  'a name that is none': [
    ['name: s, setHeaders: [{name: "X A", value: a}]'],
    '6:spec.request[0].setHeaders[0].name: "X A" is not allowed here, write an HTTP token, for example X-Client-Id',
  ],
  'a header that frames the message': [
    ['name: s, setHeaders: [{name: Host, value: a}, {name: transfer-encoding, value: chunked}]'],
    '6:spec.request[0].setHeaders[0].name: the header "Host" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
    '6:spec.request[0].setHeaders[1].name: the header "transfer-encoding" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
  ],
  'a value that would end the line': [
    ['name: s, setHeaders: [{name: X-A, value: "a\\r\\nX-B: b"}]'],
    '6:spec.request[0].setHeaders[0].value: holds a control character, which no header can carry, write it on one line',
  ],
  'a value that is not ASCII': [
    ['name: s, setHeaders: [{name: X-A, value: "grün"}]'],
    '6:spec.request[0].setHeaders[0].value: holds a character that is not visible ASCII, write visible ASCII, or use dictionary',
  ],
  'a value that is no text': [
    ['name: s, setHeaders: [{name: X-A, value: 1}]'],
    '6:spec.request[0].setHeaders[0].value: is the number 1, but text is wanted, write it in quotes: "1"',
  ],
  'what becomes of it, in another word': [
    ['name: s, setHeaders: [{name: X-A, value: a, ifExists: override}]'],
    '6:spec.request[0].setHeaders[0].ifExists: "override" is not known, did you mean "Override"?',
  ],
  'a key that is none': [
    ['name: s, setHeaders: [{name: X-A, pairs: {"a b": c}}]'],
    '6:spec.request[0].setHeaders[0].pairs["a b"]: "a b" is not allowed here, write letters, digits, ., _, ~ and -',
  ],
  'a dictionary with a key that RFC 9651 does not allow': [
    ['name: s, setHeaders: [{name: X-A, dictionary: {Device: c}}]'],
    '6:spec.request[0].setHeaders[0].dictionary.Device: "Device" is not allowed here, write a key of RFC 9651: lower-case letters, digits, _, -, . and *',
  ],
  'a list in a template': [
    ['name: s, setHeaders: [{name: X-A, value: "${jwt.audience}"}]'],
    '6:spec.request[0].setHeaders[0].value: in ${…} holds a value of type list<string>, but only string, int and bool may stand in a template, convert it with string(…) or join(…)',
  ],
});

export const responseSetHeaders = casesOf(
  {
    'one header instead of a list': [
      ['name: s, setHeaders: {name: X-A, value: a}'],
      '6:spec.response[0].setHeaders: is an object, but a list is wanted, write a list: one "- " item a line',
    ],
    'a header without a value': [
      ['name: s, setHeaders: [{name: X-A}]'],
      '6:spec.response[0].setHeaders[0]: has none of value, pairs and dictionary, write exactly one of them',
    ],
    'a header that frames the message': [
      ['name: s, setHeaders: [{name: Content-Length, value: "0"}]'],
      '6:spec.response[0].setHeaders[0].name: the header "Content-Length" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
    ],
    'a value that reads a step that does not exist': [
      ['name: s, setHeaders: [{name: X-A, value: "${steps.look.body.a}"}]'],
      '6:spec.response[0].setHeaders[0].value: in ${…} reads steps.look, which does not exist here, remove it: nothing is known here',
    ],
    'a header of an answer that does not exist': [
      ['name: s, setHeaders: [{name: X-A, value: "${response.body}"}]'],
      '6:spec.response[0].setHeaders[0].value: in ${…} reads response.body, which does not exist here, use one of status and headers',
    ],
    'a misspelt field': [
      ['name: s, setHeaders: [{name: X-A, values: [a]}]'],
      '6:spec.response[0].setHeaders[0].values: is not a known field, did you mean "value"?',
    ],
    'two cookies in one value': [
      ['name: s, setHeaders: [{name: Set-Cookie, value: "a=b\\nc=d"}]'],
      '6:spec.response[0].setHeaders[0].value: holds a control character, which no header can carry, write it on one line',
    ],
  },
  'response',
);

export const responseRemoveHeaders = casesOf(
  {
    'one header instead of a list': [
      ['name: s, removeHeaders: Server'],
      '6:spec.response[0].removeHeaders: is the string "Server", but a list is wanted, write a list: one "- " item a line',
    ],
    'an empty list': [
      ['name: s, removeHeaders: []'],
      '6:spec.response[0].removeHeaders: is an empty list, write at least one item',
    ],
    'a pattern, which hideBackend takes': [
      ['name: s, removeHeaders: ["X-Debug-*"]'],
      '6:spec.response[0].removeHeaders[0]: "X-Debug-*" is not allowed here, write an HTTP token, for example X-Client-Id, without *: names are compared as a whole',
    ],
    'a header that frames the message': [
      ['name: s, removeHeaders: [Transfer-Encoding]'],
      '6:spec.response[0].removeHeaders[0]: the header "Transfer-Encoding" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
    ],
    'names that are none': [
      ['name: s, removeHeaders: [""]'],
      '6:spec.response[0].removeHeaders[0]: is empty, write an HTTP token, for example X-Client-Id, without *: names are compared as a whole',
    ],
  },
  'response',
);

export const responseChoose = casesOf(
  {
    'no branch': [
      ['name: s, choose: {otherwise: [{name: t, removeHeaders: [A]}]}'],
      '6:spec.response[0].choose.when: is missing, add it: Branches in order: the first whose condition is true runs',
    ],
    'a step of the request part': [
      [
        'name: s, choose: {when: [{condition: "true", steps: [{name: t, authorize: {allow: [{expression: "true"}]}}]}]}',
      ],
      '6:spec.response[0].choose.when[0].steps[0].authorize: is not a known field, remove it, or write name, when, hideBackend, setHeaders, removeHeaders, replaceText or respond',
    ],
    'a branch without steps': [
      ['name: s, choose: {when: [{condition: "true", steps: []}]}'],
      '6:spec.response[0].choose.when[0].steps: is an empty list, write at least one item',
    ],
    'a condition that is no condition': [
      ['name: s, choose: {when: [{condition: response.status, steps: [{name: t, removeHeaders: [A]}]}]}'],
      '6:spec.response[0].choose.when[0].condition: is of type int, but a bool is wanted, write a condition: true or false',
    ],
    'a condition of another word': [
      ['name: s, choose: {when: [{if: "true", steps: [{name: t, removeHeaders: [A]}]}]}'],
      '6:spec.response[0].choose.when[0].condition: is missing, add it: CEL, of type bool; one that fails is like a when that fails',
      '6:spec.response[0].choose.when[0].if: is not a known field, remove it, or write condition or steps',
    ],
    'a choose within a choose': [
      ['name: s, choose: {when: [{condition: "true", steps: [{name: t, choose: {when: []}}]}]}'],
      '6:spec.response[0].choose.when[0].steps[0].choose: is not a known field, remove it, or write name, when, hideBackend, setHeaders, removeHeaders, replaceText or respond',
    ],
    'an otherwise that is a condition': [
      ['name: s, choose: {when: [{condition: "true", steps: [{name: t, removeHeaders: [A]}]}], otherwise: "true"}'],
      '6:spec.response[0].choose.otherwise: is the string "true", but a list is wanted, write a list: one "- " item a line',
    ],
  },
  'response',
);

export const responseRespond = casesOf(
  {
    'no status': [
      ['name: s, respond: {body: hi}'],
      '6:spec.response[0].respond.status: is missing, add it: HTTP status of the answer',
    ],
    'a status that is none': [
      ['name: s, respond: {status: 600}'],
      '6:spec.response[0].respond.status: 600 is out of bounds, write a whole number from 200 to 599',
    ],
    'a header of the connection': [
      ['name: s, respond: {status: 200, headers: {Keep-Alive: "timeout=5"}}'],
      '6:spec.response[0].respond.headers.Keep-Alive: the header "Keep-Alive" frames the message or belongs to the connection, so no policy may set or remove it, remove it',
    ],
    'a body that reads a variable that nobody sets': [
      ['name: s, respond: {status: 200, body: "${vars.a}"}'],
      '6:spec.response[0].respond.body: in ${…} reads vars.a, which does not exist here, remove it: nothing is known here',
    ],
    'a misspelt field': [
      ['name: s, respond: {status: 200, content-type: text/html}'],
      '6:spec.response[0].respond.content-type: is not a known field, did you mean "contentType"?',
    ],
    'a reason beside the status': [
      ['name: s, respond: {status: 200 OK}'],
      '6:spec.response[0].respond.status: is the string "200 OK", but a whole number is wanted, write a whole number from 200 to 599',
    ],
  },
  'response',
);
