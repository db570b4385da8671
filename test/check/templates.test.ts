/** What is wrong with templates and expressions, wherever they stand. */
import { describe } from 'node:test';
import { testCases } from './check-manifests.ts';
import { casesOf } from './wrong/cases-of.ts';

const header = (value: string): readonly [string] => [`name: s, setHeaders: [{name: X-A, value: "${value}"}]`];
const AT = '6:spec.request[0].setHeaders[0].value:';
const when = (expression: string): readonly [string] => [`name: s, when: "${expression}", requireHeader: {name: X-A}`];

describe('check finds in templates', () =>
  testCases(
    casesOf({
      'a hole that is not closed': [
        header("${request.headers['a'"),
        `${AT} holds a \${ without its }, close it, or write $\${ for a literal \${`,
      ],
      'an empty hole': [header('${}'), `${AT} in \${…} is empty, write an expression`],
      'a value that no text can show': [
        header('${1.5}'),
        `${AT} in \${…} holds a value of type double, but only string, int and bool may stand in a template, convert it with string(…) or join(…)`,
      ],
      'a variable as a whole': [
        header('${params}'),
        `${AT} in \${…} uses params as a whole, read one of its members: deviceId`,
      ],
      'a variable as a whole that has no members': [
        header('${vars}'),
        `${AT} in \${…} uses vars as a whole, remove it: it has no members here`,
      ],
      'a pattern that cannot be read': [
        header("${request.path.matches('(a')}"),
        `${AT} in \${…} the regular expression "(a" is not one of RE2 (back-references and look-around do not exist there), write it for RE2`,
      ],
      'a pattern that is too large once it is written out': [
        header("${request.path.matches('(a{1000}){1000}')}"),
        `${AT} in \${…} the regular expression "(a{1000}){1000}" is not one of RE2 (back-references and look-around do not exist there), write it for RE2`,
      ],
    }),
  ));

describe('check finds in conditions', () =>
  testCases(
    casesOf({
      'a template where an expression belongs': [
        when('${true}'),
        '6:spec.request[0].when: is not valid CEL: Unexpected character: $ (column 1), leave ${ and } out: the whole field is an expression',
      ],
      'a function that does not exist': [
        when('request.path.nothing()'),
        '6:spec.request[0].when: calls .nothing() in a way that does not exist here, use one of size, startsWith, endsWith, contains, lowerAscii, upperAscii, trim, substring, indexOf, lastIndexOf, split, join, replace, all, exists, exists_one, map, filter and matches',
      ],
      'a list instead of an answer': [
        when('[1,2].map(x, x)'),
        '6:spec.request[0].when: is of type list<int>, but a bool is wanted, write a condition: true or false',
      ],
      'an expression of nothing': [when(' '), '6:spec.request[0].when: is empty, write an expression'],
    }),
  ));
