/** `basic` and `header`: what is presented is the same each time. */
import type { BackendCredentialSpec } from '../api/kinds/credential.ts';
import type { CredentialProblem, HeaderCredential, HeaderSort } from './header-credential.ts';
import type { TextReader } from './secret-text.ts';

/** Visible ASCII, as a header's value is sent; spaces at its ends would be cut off on the way. */
const HEADER_VALUE = /^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/;
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/;
const MOST_CHARACTERS = 16_384;

/** Stands for a credential that cannot be made of what is there. */
export const unusable = (sort: HeaderSort, problem: CredentialProblem): HeaderCredential => ({
  sort,
  present: () => undefined,
  state: () => ({ problem }),
});

function createFixed(sort: HeaderSort, name: string, value: string): HeaderCredential {
  if (!HEADER_VALUE.test(value) || value.length > MOST_CHARACTERS) return unusable(sort, 'BAD_VALUE');
  const presented = { name, value };
  return { sort, present: () => presented, state: () => ({}) };
}

/** RFC 7617 with its charset UTF-8: a user's name holds no colon, neither part a control character. */
export function createBasicCredential(
  { username, password }: NonNullable<BackendCredentialSpec['basic']>,
  texts: TextReader,
): HeaderCredential {
  const [user, secret] = [texts.read(username), texts.read(password)];
  if (user === undefined || secret === undefined) return unusable('basic', 'MISSING');
  if (user.includes(':') || CONTROL.test(user) || CONTROL.test(secret)) return unusable('basic', 'BAD_VALUE');
  return createFixed('basic', 'Authorization', `Basic ${Buffer.from(`${user}:${secret}`, 'utf8').toString('base64')}`);
}

export function createHeaderCredential(
  { name, value }: NonNullable<BackendCredentialSpec['header']>,
  texts: TextReader,
): HeaderCredential {
  const text = texts.read(value);
  return text === undefined ? unusable('header', 'MISSING') : createFixed('header', name, text);
}
