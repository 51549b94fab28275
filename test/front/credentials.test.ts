import { expect, it } from 'vitest';
import { bearerOf, challenge, credentialsOf } from '../../src/front/credentials.ts';
import { normalOrigin, originCheck } from '../../src/front/origin.ts';

it.each([
  ['Bearer abc', 'abc'],
  ['bearer   abc ', 'abc'],
  ['Bearer', undefined],
  ['Bearer a b', undefined],
  ['Basic abc', undefined],
  ['', undefined],
])('the token of %j is %s', (header, token) => {
  expect(bearerOf(header)).toBe(token);
});

it.each<[string, string, string, string | undefined, string, RegExp | undefined]>([
  ['', '', '', undefined, '', undefined],
  ['Bearer t', '', '', 't', '', undefined],
  ['', 'holdfast.v1, holdfast.token.t', '', 't', 'holdfast.v1', undefined],
  ['', 'holdfast.token.t,holdfast.v1,chat', 'format=json', 't', 'holdfast.v1', undefined],
  ['', 'chat', '', undefined, '', undefined],
  ['Bearer t', 'holdfast.v1', '', 't', 'holdfast.v1', undefined],
  ['Bearer t', 'holdfast.v1, holdfast.token.u', '', undefined, 'holdfast.v1', /more than one/],
  ['', 'holdfast.v1, holdfast.token.t, holdfast.token.u', '', undefined, 'holdfast.v1', /more than one/],
  ['', 'holdfast.token.t', '', undefined, '', /holdfast\.v1/],
  ['Bearer t', '', 'token=t', undefined, '', /token=…/],
  ['', '', 'a=1&access%5ftoken=t', undefined, '', /access_token=…/],
])('header %j, protocols %j, query %j: token %s', (header, protocols, query, token, subprotocol, problem) => {
  const found = credentialsOf(header, protocols, query);
  expect([found.token, found.subprotocol]).toEqual([token, subprotocol]);
  expect(found.byProgram).toBe(token !== undefined && header !== '');
  if (problem === undefined) expect(found.problem).toBeUndefined();
  else expect(found.problem).toMatch(problem);
});

it('a challenge is plain text within quotes, whatever the reason has', () => {
  expect(challenge('no "kid"\\ of\r\nÄ')).toBe(
    "Bearer error=\"invalid_token\", error_description=\"no 'kid'' of'''\"",
  );
});

it.each([
  [[], '', true],
  [[], 'http://localhost:3000', true],
  [[], 'http://[::1]', true],
  [[], 'http://127.9.9.9', true],
  [[], 'https://localhost.evil.example', false],
  [[], 'https://evil.example', false],
  [[], 'null', false],
  [['https://shop.example'], '', true],
  [['https://shop.example'], 'https://shop.example', true],
  [['https://shop.example'], 'https://shop.example:8443', false],
  [['https://shop.example'], 'http://shop.example', false],
  [['https://shop.example'], 'http://localhost', false],
  [['*'], 'https://any.example', true],
])('allowed %j, a page of %j may: %s', (allowed, origin, may) => {
  expect(originCheck(allowed)(origin)).toBe(may);
});

it.each([
  ['https://shop.example', 'https://shop.example'],
  ['https://shop.example:443', 'https://shop.example'],
  ['https://shop.example/path', undefined],
  ['https://u@shop.example', undefined],
  ['shop.example', undefined],
  ['ftp://shop.example', undefined],
])('the origin of %j is %s', (text, origin) => {
  expect(normalOrigin(text)).toBe(origin);
});
