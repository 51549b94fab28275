import { describe, expect, it } from 'vitest';
import { ClientAddresses, isNetwork } from '../../src/front/client-address.ts';

const SECRET = new Uint8Array(32);
const PROXIES = ['10.0.0.0/8', '192.0.2.7', 'fd00::/8'];

/** The bytes of an address as a socket gives them. */
function bytesOf(address: string): ArrayBuffer {
  if (!address.includes(':')) return Uint8Array.from(address.split('.').map(Number)).buffer;
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const [head = [], tail = []] = groups.map((part) => part.split(':').filter((group) => group !== ''));
  const all = [...head, ...Array<string>(8 - head.length - tail.length).fill('0'), ...tail];
  return Uint8Array.from(
    all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]),
  ).buffer;
}

describe('a client behind proxies', () => {
  it.each([
    ['is its socket', '203.0.113.5', '', '203.0.113.5'],
    ['is not what it says itself', '203.0.113.5', '198.51.100.1', '203.0.113.5'],
    ['is what a trusted proxy says', '10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['is the last that no trusted proxy has', '10.1.2.3', '1.2.3.4, 198.51.100.1, 192.0.2.7', '198.51.100.1'],
    ['is the proxy where that says nothing', '10.1.2.3', '', '10.1.2.3'],
    ['is the proxy where that says no address', '10.1.2.3', 'unknown', '10.1.2.3'],
    ['is the proxy where all are', '10.1.2.3', '10.9.9.9', '10.9.9.9'],
    ['may come over IPv6', 'fd00::1', '2001:db8::5', '2001:db8::5'],
    ['is of IPv4 where a proxy writes it as IPv6', '10.1.2.3', '::ffff:198.51.100.1', '198.51.100.1'],
    ['is before a proxy that is written as IPv6', '10.1.2.3', '1.2.3.4, ::ffff:a09:909', '1.2.3.4'],
    ['is this machine, in the form that others know it by', '::1', '', '::1'],
    ['may come with a port', '10.1.2.3', '198.51.100.1:5678', '198.51.100.1'],
    ['may come with a port over IPv6', '10.1.2.3', '[2001:db8::5]:443', '2001:db8::5'],
    ['may be in brackets', '10.1.2.3', '[2001:db8::5]', '2001:db8::5'],
    ['may be before a proxy with a port', '10.1.2.3', '1.2.3.4:5, [fd00::2]:80, 10.9.9.9:1', '1.2.3.4'],
    ['is the proxy where brackets are around IPv4', '10.1.2.3', '[198.51.100.1]:80', '10.1.2.3'],
    ['is the proxy where a port is none', '10.1.2.3', '198.51.100.1:port', '10.1.2.3'],
    ['is the proxy where more comes behind a port', '10.1.2.3', '198.51.100.1:80:90', '10.1.2.3'],
    ['may be of a link', '10.1.2.3', 'fe80::1%eth0', 'fe80::1'],
  ])('%s: %s with %j is %s', (_, socket, forwarded, expected) => {
    expect(new ClientAddresses(PROXIES, SECRET).of(bytesOf(socket), forwarded)).toBe(expected);
  });

  it('is told by the end of a long line, which the proxies wrote', () => {
    const forwarded = `${'1.2.3.4, '.repeat(2000)}198.51.100.1`;
    expect(new ClientAddresses(PROXIES, SECRET).of(bytesOf('10.1.2.3'), forwarded)).toBe('198.51.100.1');
  });

  it('is its socket where no proxy is trusted', () => {
    expect(new ClientAddresses([], SECRET).of(bytesOf('10.1.2.3'), '198.51.100.1')).toBe('10.1.2.3');
  });
});

it.each([
  ['203.0.113.5', '', true],
  ['203.0.113.5', '198.51.100.1', true],
  ['10.1.2.3', '198.51.100.1', false],
  ['10.1.2.3', '', false],
])('%s with %j is the client itself: %s', (socket, forwarded, expected) => {
  const addresses = new ClientAddresses(PROXIES, SECRET);
  addresses.of(bytesOf(socket), forwarded);
  expect(addresses.direct).toBe(expected);
});

describe('the words of an address', () => {
  const wordsOf = (address: string, secret = SECRET): string => {
    const addresses = new ClientAddresses([], secret);
    addresses.of(bytesOf(address), '');
    return `${addresses.lo} ${addresses.hi}`;
  };

  it('are those of its network over IPv6, which is whose it is', () => {
    expect(wordsOf('2001:db8:1:2::1')).toBe(wordsOf('2001:db8:1:2:ffff:1:2:3'));
    expect(wordsOf('2001:db8:1:2::1')).not.toBe(wordsOf('2001:db8:1:3::1'));
    expect(wordsOf('::1')).toBe(wordsOf('::2'));
  });

  it('are of each address over IPv4, also where it came over IPv6', () => {
    expect(wordsOf('192.0.2.1')).not.toBe(wordsOf('192.0.2.2'));
    expect(wordsOf('::ffff:c000:201')).toBe(wordsOf('192.0.2.1'));
  });

  it('cannot be known without the secret', () => {
    expect(wordsOf('192.0.2.1', new Uint8Array(32).fill(1))).not.toBe(wordsOf('192.0.2.1'));
  });
});

it.each([
  ['10.0.0.1', true],
  ['10.0.0.0/8', true],
  ['fd00::/8', true],
  ['::1/128', true],
  ['10.0.0.0/33', false],
  ['10.0.0.0/', false],
  ['10.0.0.0/8/8', false],
  ['proxy.example', false],
  ['', false],
])('%j is a network: %s', (text, expected) => {
  expect(isNetwork(text)).toBe(expected);
});
