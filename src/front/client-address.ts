import type uWS from 'uWebSockets.js';
import { createHmac } from 'node:crypto';
import { BlockList, isIP } from 'node:net';

/** Bytes of an IPv6 address that say whose network it is: everybody has at least a /64 of addresses. */
const NETWORK_BYTES = 8;
/** What is looked at of X-Forwarded-For, from its end: proxies add to what a client sends. */
const MAX_FORWARDED_LENGTH = 4096;

/** Tells where a client comes from, which is not where its socket comes from behind a proxy. */
export class ClientAddresses {
  /** Words of a keyed hash of the last address: nobody can choose addresses that meet in a table. */
  lo = 0;
  hi = 0;
  /** Whether the last address is that of the socket's other end, and no trusted proxy's. */
  direct = true;
  private readonly trusted: BlockList | undefined;
  private readonly secret: Uint8Array;

  /** `proxies`: addresses and networks, see isNetwork(), whose X-Forwarded-For is believed. */
  constructor(proxies: readonly string[], secret: Uint8Array) {
    this.trusted = proxies.length === 0 ? undefined : blockList(proxies);
    this.secret = createHmac('sha256', secret).update('addresses').digest();
  }

  /**
   * The client's address as text. `socket`: the other end's, 4 or 16 bytes. `forwarded`: X-Forwarded-For, whose last entries were written
   * by proxies; the last one that no trusted proxy has is the client.
   */
  of(socket: ArrayBuffer, forwarded: string): string {
    let address = textOf(new Uint8Array(socket));
    this.direct = !this.isTrusted(address);
    if (!this.direct && forwarded !== '') {
      const hops = forwarded
        .slice(-MAX_FORWARDED_LENGTH)
        .split(',')
        .map((hop) => hop.trim());
      while (hops.length > 0 && this.isTrusted(address)) {
        const before = plainAddress(withoutPort(hops.pop() as string));
        // What is no address was not written by a proxy that can be trusted.
        if (before === undefined) break;
        address = before;
      }
    }
    this.hash(address);
    return address;
  }

  /** The same of a socket on which nothing came so far. */
  ofSocket(socket: ArrayBuffer): string {
    return this.of(socket, '');
  }

  /** The same of a request. Lines of X-Forwarded-For count as one, since some proxies add a line of their own to that of a client. */
  ofRequest(res: uWS.HttpResponse, req: uWS.HttpRequest): string {
    const lines: string[] = [];
    if (this.trusted !== undefined) {
      req.forEach((name, value) => {
        if (name === 'x-forwarded-for') lines.push(value);
      });
    }
    return this.of(res.getRemoteAddress(), lines.join(','));
  }

  private isTrusted(address: string): boolean {
    return this.trusted?.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6') === true;
  }

  private hash(address: string): void {
    const digest = createHmac('sha256', this.secret).update(networkOf(address)).digest();
    this.lo = digest.readInt32LE(0);
    this.hi = digest.readInt32LE(4);
  }
}

/** Whether a text is an address or a network, such as 10.0.0.0/8 or fd00::/8. */
export function isNetwork(text: string): boolean {
  const [address = '', prefix, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0) return false;
  return prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= (version === 4 ? 32 : 128));
}

function blockList(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = '', prefix] = network.split('/');
    const version = isIP(address) === 4 ? 'ipv4' : 'ipv6';
    if (prefix === undefined) list.addAddress(address, version);
    else list.addSubnet(address, Number(prefix), version);
  }
  return list;
}

/** Some proxies write the client's port as well: 192.0.2.1:5678, [2001:db8::1]:443; and brackets are for IPv6 alone. */
function withoutPort(hop: string): string {
  const [, inBrackets, plain] = /^(?:\[([^\]]*)\]|([\d.]+))(?::\d{1,5})?$/.exec(hop) ?? [];
  if (inBrackets !== undefined) return isIP(inBrackets) === 6 ? inBrackets : '';
  return plain ?? hop;
}

/**
 * An address in its one shortest form, undefined for what is none. Proxies write one of IPv4 that came over IPv6 as ::ffff:192.0.2.1, of
 * which all are one network; and the link of a local one, fe80::1%eth0, is no part of an address elsewhere.
 */
function plainAddress(text: string): string | undefined {
  const version = isIP(text);
  if (version !== 6) return version === 4 ? text : undefined;
  const plain = new URL(`http://[${text.replace(/%.*/, '')}]`).hostname.slice(1, -1);
  const [, high, low] = /^::ffff:([0-9a-f]+):([0-9a-f]+)$/.exec(plain) ?? [];
  if (high === undefined || low === undefined) return plain;
  const [highWord, lowWord] = [Number.parseInt(high, 16), Number.parseInt(low, 16)];
  return [highWord >> 8, highWord & 255, lowWord >> 8, lowWord & 255].join('.');
}

/** What stands for an address in limits: an IPv4 address whole, of IPv6 the network. */
function networkOf(address: string): string {
  if (isIP(address) !== 6) return address;
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::');
  const head = (groups[0] ?? '').split(':').filter((group) => group !== '');
  const tail = (groups[1] ?? '').split(':').filter((group) => group !== '');
  const zeroes = groups.length === 1 ? 0 : 8 - head.length - tail.length;
  const all = [...head, ...Array<string>(zeroes).fill('0'), ...tail];
  return `${all.slice(0, NETWORK_BYTES / 2).join(':')}::/64`;
}

/** 4 or 16 bytes as text; an IPv4 address that came over IPv6 is one of IPv4. */
function textOf(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.');
  const words = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] as number) << 8) | (bytes[2 * i + 1] as number)).toString(16),
  );
  return plainAddress(words.join(':')) as string;
}
