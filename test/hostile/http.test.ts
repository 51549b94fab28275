import { createConnection } from 'node:net';
import { describe, expect, it } from 'vitest';
import { victim } from './fixtures.ts';

const target = victim();

const HOST = 'Host: x\r\n';
const BODY = '{"total":1}';
const SECOND = `GET /v1/inspect HTTP/1.1\r\n${HOST}\r\n`;
const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n';
const UPGRADE = `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n`;

const get = (path: string, headers = ''): string => `GET ${path} HTTP/1.1\r\n${HOST}${headers}\r\n`;
const put = (headers: string, body = ''): string =>
  `PUT /v1/skus/evil%ff HTTP/1.1\r\n${HOST}${headers}\r\n${body}`;
/** To a SKU that there may be. */
const stock = (headers: string, body: string): string => put(headers, body).replace('evil%ff', 'evil');
const chunked = (chunks: string, header = 'Transfer-Encoding: chunked\r\n'): string => put(header, chunks);
const length = (bytes: string | number): string => `Content-Length: ${bytes}\r\n`;
const sized = (body: string): string => stock(length(Buffer.byteLength(body)), body);

const CLOSE = /^$/;
/** Who still sends when the connection is reset may not get to read the answer. */
const CUT_OFF = /^$|^HTTP\/1.1 431 /;
const status = (code: number): RegExp => new RegExp(`^HTTP/1.1 ${code} `);

/** Bytes, what the first line of the answer has to be, and whether the connection closes behind it. */
type Row = [what: string, bytes: string | Uint8Array, answer: RegExp, closes?: 'and closes'];

async function expectAnswer(bytes: string | Uint8Array, answer: RegExp, closes: boolean): Promise<void> {
  // A close may come long after the answer.
  const { text, closed } = await (closes ? target.askUntilClosed(bytes) : target.ask(bytes));
  expect(text.split('\r\n')[0]).toMatch(answer);
  if (closes) expect(closed).toBe(true);
  // Whatever else came along is no request of its own.
  expect(text.split(/^HTTP\/1\.1 /m).length - 1).toBeLessThanOrEqual(1);
}

describe('where a request ends is never a matter of opinion', () => {
  it.concurrent.each<Row>([
    [
      'a length and chunks',
      put(`${length(0)}Transfer-Encoding: chunked\r\n`, SECOND),
      status(400),
      'and closes',
    ],
    [
      'chunks and a length',
      put(`Transfer-Encoding: chunked\r\n${length(0)}`, SECOND),
      status(400),
      'and closes',
    ],
    ['two lengths', stock(length(11) + length(11 + SECOND.length), BODY + SECOND), CLOSE, 'and closes'],
    ['one length twice', stock(length(11) + length(11), BODY), CLOSE, 'and closes'],
    [
      'two lengths on a GET',
      get('/healthz', length(0) + length(SECOND.length)) + SECOND,
      CLOSE,
      'and closes',
    ],
    ['a list of lengths', put(length('11, 11'), BODY), status(400), 'and closes'],
    ['a length below nothing', put(length(-1), BODY), status(400), 'and closes'],
    ['a length with a sign', put(length('+11'), BODY), status(400), 'and closes'],
    ['a length in hexadecimal', put(length('0x0b'), BODY), status(400), 'and closes'],
    ['a length past 2^64', put(length('18446744073709551627'), BODY), status(400), 'and closes'],
    ['a length of 26 digits', put(length('9'.repeat(26)), BODY), status(400), 'and closes'],
    ['a space before the colon', put('Content-Length : 11\r\n', BODY), status(400), 'and closes'],
    [
      'chunks by another name',
      chunked(`0\r\n\r\n${SECOND}`, 'Transfer-Encoding: xchunked\r\n'),
      CLOSE,
      'and closes',
    ],
    [
      'an encoding behind chunks',
      chunked('0\r\n\r\n', 'Transfer-Encoding: chunked, identity\r\n'),
      CLOSE,
      'and closes',
    ],
    ['compressed chunks', chunked('0\r\n\r\n', 'Transfer-Encoding: gzip, chunked\r\n'), CLOSE, 'and closes'],
    [
      'two encodings',
      chunked('0\r\n\r\n', 'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n'),
      CLOSE,
      'and closes',
    ],
    ['a chunk past 2^64', chunked(`ffffffffffffffffb\r\n${BODY}\r\n0\r\n\r\n`), status(400)],
    ['a chunk of no number', chunked(`zz\r\n${BODY}\r\n0\r\n\r\n`), status(400)],
    ['a chunk with an extension', chunked(`b;${'a'.repeat(300)}\r\n${BODY}\r\n0\r\n\r\n`), status(400)],
    ['a request inside a body', sized(SECOND), status(400)],
    ['an upgrade with a body', get('/v1/ws', UPGRADE + KEY + length(5)), status(400), 'and closes'],
    [
      'an upgrade with a request for a body',
      get('/v1/ws', UPGRADE + KEY + length(SECOND.length)) + SECOND,
      status(400),
      'and closes',
    ],
    [
      'an upgrade with chunks',
      get('/v1/ws', `${UPGRADE}${KEY}Transfer-Encoding: chunked\r\n`),
      status(400),
      'and closes',
    ],
    [
      'an upgrade with two lengths',
      get('/v1/ws', UPGRADE + KEY + length(0) + length(5)),
      status(400),
      'and closes',
    ],
    ['an upgrade with an empty body', get('/v1/ws', UPGRADE + KEY + length(0)), status(101)],
  ])('%s', async (_, bytes, answer, closes) => expectAnswer(bytes, answer, closes !== undefined));

  it('what was refused for it did not happen', async () => {
    expect((await fetch(`${target.server.httpUrl}/v1/skus/evil`)).status).toBe(404);
  });
});

describe('a request that is none, or too much', () => {
  it.concurrent.each<Row>([
    ['line feeds alone', 'GET /healthz HTTP/1.1\nHost: x\n\n', status(505), 'and closes'],
    ['carriage returns alone', 'GET /healthz HTTP/1.1\rHost: x\r\r', status(505), 'and closes'],
    ['a header without a colon', get('/healthz', 'nonsense\r\n'), status(400), 'and closes'],
    ['a space in the name of a header', get('/healthz', 'a b: c\r\n'), status(400), 'and closes'],
    ['a header on two lines', get('/healthz', 'a: b\r\n c\r\n'), status(400), 'and closes'],
    ['a NUL in a header', get('/healthz', 'a: b\0c\r\n'), status(400), 'and closes'],
    ['a NUL in the path', get('/healthz\0'), status(505), 'and closes'],
    ['200 headers', get('/healthz', 'a: b\r\n'.repeat(200)), status(431), 'and closes'],
    ['100,000 headers', get('/healthz', 'a: b\r\n'.repeat(100_000)), CUT_OFF, 'and closes'],
    ['a header of 16 kB', get('/healthz', `a: ${'b'.repeat(16_000)}\r\n`), status(431), 'and closes'],
    ['a header of a megabyte', get('/healthz', `a: ${'b'.repeat(1_000_000)}\r\n`), CUT_OFF, 'and closes'],
    ['a path of a megabyte', get(`/${'b'.repeat(1_000_000)}`), CUT_OFF, 'and closes'],
    ['a method of a megabyte', `${'G'.repeat(1_000_000)} / HTTP/1.1\r\n\r\n`, CUT_OFF, 'and closes'],
    ['HTTP/0.9', 'GET /healthz\r\n\r\n', status(505), 'and closes'],
    ['HTTP/1.0', 'GET /healthz HTTP/1.0\r\n\r\n', status(505), 'and closes'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', status(505), 'and closes'],
    ['TLS', Buffer.from(`160301020001000001fc0303${'00'.repeat(500)}`, 'hex'), status(505), 'and closes'],
    ['no host', 'GET /healthz HTTP/1.1\r\n\r\n', status(400), 'and closes'],
    ['two hosts', get('/healthz', HOST), status(400), 'and closes'],
    ['a whole address for a path', get('http://elsewhere/healthz'), status(505), 'and closes'],
  ])('%s', async (_, bytes, answer, closes) => expectAnswer(bytes, answer, closes !== undefined));
});

describe('a path, a method or a body that is none of ours', () => {
  it.concurrent.each<Row>([
    ['a way up', get('/v1/../../etc/passwd'), status(404)],
    ['a way up in escapes', get('/v1/skus/%2e%2e%2f'), status(404)],
    ['a NUL in escapes', get('/v1/skus/%00'), status(404)],
    ['escapes that are no UTF-8', get('/v1/skus/%ff'), status(400)],
    ['half an escape', get('/v1/skus/%f'), status(400)],
    ['a SKU of 65 bytes', get(`/v1/skus/${'x'.repeat(65)}`), status(400)],
    ['an empty SKU', get('/v1/skus/'), status(404)],
    ['a hold id past 2^53', get('/v1/holds/9007199254740993'), status(400)],
    ['a hold id that is a fraction', get('/v1/holds/1.5'), status(400)],
    ['a hold id below nothing', get('/v1/holds/-1'), status(400)],
    ['DELETE', get('/v1/skus/x').replace('GET', 'DELETE'), status(404)],
    ['TRACE', get('/').replace('GET', 'TRACE'), status(404)],
    ['CONNECT', 'CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n', status(505)],
    ['POST of what is there to GET', get('/v1/inspect', length(0)).replace('GET', 'POST'), status(404)],
    ['GET of what is there to PUT', get('/v1/skus/x/restock'), status(404)],
    ['no body', sized(''), status(400)],
    ['no JSON', sized('abc'), status(400)],
    ['JSON that is no object', sized('[1]'), status(400)],
    ['JSON of 4,000 arrays within each other', sized('['.repeat(4000)), status(400)],
    ['a mark of byte order', sized('\ufeff{"total":1}'), status(400)],
    ['UTF-16', stock(length(21), BODY.split('').join('\0')), status(400)],
    ['a prototype', sized('{"__proto__":{"total":5}}'), status(400)],
    ['fields nobody knows', sized('{"total":1,"constructor":{}}'), status(400)],
    ['a field twice, the second time as text', sized('{"total":1,"total":"2"}'), status(400)],
    ['1e400 units', sized('{"total":1e400}'), status(400)],
    ['a fraction of a unit', sized('{"total":0.5}'), status(400)],
    ['fewer than no units', sized('{"total":-1}'), status(400)],
    ['a body over its limit', sized(`{"total":1}${' '.repeat(4096)}`), status(413)],
    [
      'chunks over their limit',
      stock('Transfer-Encoding: chunked\r\n', `2000\r\n${' '.repeat(8192)}\r\n0\r\n\r\n`),
      status(413),
    ],
    ['an upgrade without a key', get('/v1/ws', UPGRADE), status(404)],
    ['an upgrade with half a key', get('/v1/ws', `${UPGRADE}Sec-WebSocket-Key: abc\r\n`), status(404)],
    ['an upgrade by POST', get('/v1/ws', UPGRADE + KEY).replace('GET', 'POST'), status(404)],
    ['an upgrade somewhere else', get('/v1/other', UPGRADE + KEY), status(404)],
    [
      'an upgrade from a page of another site',
      get('/v1/ws', `${UPGRADE}${KEY}Origin: https://evil.example\r\n`),
      status(403),
      'and closes',
    ],
    ['a token in the address', get('/v1/ws?token=x', UPGRADE + KEY), status(400), 'and closes'],
    [
      'two holders',
      get('/v1/holds/1', 'x-holdfast-holder: alice\r\nX-Holdfast-Holder: bob\r\n'),
      status(400),
    ],
    [
      'two lists of subprotocols',
      get('/v1/ws', UPGRADE + KEY + 'Sec-WebSocket-Protocol: holdfast.v1\r\n'.repeat(2)),
      status(400),
      'and closes',
    ],
  ])('%s', async (_, bytes, answer, closes) => expectAnswer(bytes, answer, closes !== undefined));
});

describe('a request that comes slowly, or never ends', () => {
  it.concurrent.each([
    ['nothing at all', ''],
    ['half a header', 'GET /healthz HTTP/1.1\r\nHo'],
    ['a body that stops', stock(length(11), '{"to')],
    ['a body of a gigabyte that stops', stock(length(1_000_000_000), '{"to')],
    ['a chunk that stops', stock('Transfer-Encoding: chunked\r\n', 'b\r\n{"to')],
    ['a chunk of four gigabytes that stops', stock('Transfer-Encoding: chunked\r\n', 'ffffffff\r\n{"to')],
  ])('%s: closed', async (_, bytes) => {
    expect(await target.ask(bytes)).toEqual({ text: '', closed: true });
  });

  it.concurrent.each([
    ['headers', get('/healthz', 'a: ').slice(0, -2)],
    ['a body', stock(length(1000), '{')],
  ])('%s, a byte at a time: closed, however diligently they come', async (_, head) => {
    const socket = createConnection(target.server.port, '127.0.0.1', () => socket.write(head));
    const drip = setInterval(() => socket.write(' '), 500);
    socket.on('error', () => {});
    await new Promise((resolve) => socket.resume().once('close', resolve));
    clearInterval(drip);
  });
});

describe('a client that asks and asks and never reads', () => {
  it.each([
    ['a small answer', get('/healthz')],
    ['a large one', get('/v1/stages')],
    ['one that a worker has to give', get('/v1/skus/prize')],
    ['a refusal', get('/nowhere')],
    ['a refused upgrade', get('/v1/ws?token=x', UPGRADE + KEY)],
  ])('is closed, and keeps no memory: %s', async (_, request) => {
    const before = target.resources().rssMb;
    const socket = createConnection(target.server.port, '127.0.0.1');
    const many = request.repeat(Math.ceil(65_536 / request.length));
    let closed = false;
    socket.pause();
    socket.on('error', () => {});
    socket.on('close', () => {
      closed = true;
    });
    // As much as anybody would take in; a server that keeps its answers keeps all of this and more.
    for (let sent = 0; sent < 15_000_000 && !closed; sent += many.length) {
      if (!socket.write(many))
        await Promise.race(['drain', 'close'].map((event) => new Promise((go) => socket.once(event, go))));
    }
    socket.resume();
    await expect.poll(() => closed).toBe(true);
    await expect.poll(() => target.resources().rssMb - before).toBeLessThan(64);
  });

  it('while one who reads late gets all that was asked for in one go', async () => {
    const answers = 100;
    const socket = createConnection(target.server.port, '127.0.0.1', () =>
      socket.write(get('/healthz').repeat(answers)),
    );
    socket.pause();
    await new Promise((resolve) => setTimeout(resolve, 300));
    let text = '';
    socket.on('data', (data) => {
      text += data;
    });
    socket.resume();
    await expect.poll(() => text.split('{"status":"ok"}').length - 1).toBe(answers);
    socket.destroy();
  });
});
